"""Read the candle engine's changelog back from Kafka, in the Python workers of executors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaException

from orderflow.broker.reading import TO_END, records_to_end
from orderflow.market import topics
from orderflow.market.errors import OrderflowError

if TYPE_CHECKING:  # executors need not have what it imports
    from orderflow.clusters import KafkaCluster


@dataclass(frozen=True)
class CandleChangelog:
    """The topic CANDLE_STATE as reached by a confluent-kafka client with `options`; it is sent to executors pickled.

    The state of tick partition n is in its partition n modulo `partitions`.
    """

    options: Mapping[str, Any]
    partitions: int

    @classmethod
    def of(cls, kafka: KafkaCluster, partitions: int) -> CandleChangelog:
        """Return the changelog in a cluster. Raises SettingsError when a secret or certificate cannot be read."""
        return cls(kafka.librdkafka(), partitions)

    def read(self, partition: int) -> Iterator[tuple[str, bytes]]:
        """Yield the records (key, value) of one of its partitions that have a value, in order; foreign ones included.

        Raises OrderflowError when Kafka does not answer.
        """
        consumer = Consumer({**self.options, **TO_END, "group.id": "spark-candle-state"})
        try:
            for message in records_to_end(consumer, topics.CANDLE_STATE, only=partition):
                if message.value() is not None:
                    yield (message.key() or b"").decode(errors="replace"), message.value()
        except KafkaException as error:
            raise OrderflowError(
                f"Kafka stopped answering while {topics.CANDLE_STATE}[{partition}] was read: {error.args[0]}"
            ) from error
        finally:
            consumer.close()
