"""`python -m orderflow rejects`: lists rejects; with --replay, stores those that are valid by now, at their own offsets."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

from orderflow.broker.rejects import Rejected, read_rejects
from orderflow.broker.topic_identity import topic_id
from orderflow.lake.layout import TABLES, Table
from orderflow.lake.packing import packs
from orderflow.lake.writer import HdfsParquetSink
from orderflow.processing.storage_batches import valid_among
from orderflow.settings import Settings

log = logging.getLogger(__name__)

_AT_ONCE: Final = 5_000


def run(settings: Settings, spark: Callable[[], Any], *, replay: bool) -> int:
    """List rejects by topic and reason; with `replay`, check them again and store the valid ones. Returns the exit code."""
    rejects = list(read_rejects(settings.kafka))
    for (topic, reason), number in sorted(Counter((reject.topic or "feed", reject.reason) for reject in rejects).items()):
        print(f"{number:>8}  {topic:<20} {reason}")
    print(f"{len(rejects)} rejects")
    if not replay:
        return 0
    for table in TABLES.values():
        own = [reject for reject in rejects if reject.topic == table.topic]
        if own:
            stored, dates = replay_table(spark(), settings.namenode_url, table, topic_id(settings.kafka, table.topic), own)
            print(
                f"{table.name}: {stored} of {len(own)} are valid now and stored" + (f", of {', '.join(dates)}" if dates else "")
            )
            for date in dates:
                print(f"  candles of {date} may lack them: python -m orderflow reprocess --date {date}")
    return 0


def replay_table(spark: Any, url: str, table: Table, identity: str, rejects: Iterable[Rejected]) -> tuple[int, list[str]]:
    """Store those rejects of a table that are valid now; return how many are, and their dates. May be repeated.

    A message is stored at its own offset, which the files around it leave open. A message of an earlier topic of the
    same name, or a truncated one, is skipped.
    """
    usable = [reject for reject in rejects if reject.whole and reject.topic_id == identity]
    sink = HdfsParquetSink(spark, url, table, identity)
    count: dict[str, int] = defaultdict(int)
    for number, first in enumerate(range(0, len(usable), _AT_ONCE)):
        part = usable[first : first + _AT_ONCE]
        packed = packs(table, valid_among(spark, table, map(_message, part)))
        sink(packed, number)
        for pack in packed:
            count[pack.date] += pack.rows
    return sum(count.values()), sorted(count)


def _message(reject: Rejected) -> tuple[Any, ...]:
    sent = datetime.fromtimestamp(reject.received_time_ms / 1000, UTC)
    return reject.key, reject.payload, reject.topic, reject.partition, reject.offset, sent
