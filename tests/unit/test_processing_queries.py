from __future__ import annotations

from typing import Any

import pytest

from orderflow import settings
from orderflow.market.topics import TICKS
from orderflow.processing import queries


class Reader:
    """Stands in for `spark.readStream`: keeps the options it is given."""

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}
        self.readStream = self

    def format(self, name: str) -> Reader:
        self.given["format"] = name
        return self

    def option(self, name: str, value: Any) -> Reader:
        self.given[name] = value
        return self

    def options(self, **given: Any) -> Reader:
        self.given.update(given)
        return self

    def load(self) -> dict[str, Any]:
        return self.given


@pytest.mark.parametrize(("most", "expected"), [(60_000, 60_000), (None, None)])
def test_messages_when_a_batch_has_a_bound_then_kafka_gives_no_more_and_else_all_there_is(tmp_path, most, expected) -> None:
    options = queries.read_messages(Reader(), settings.load({}, tmp_path / "none"), TICKS, most=most, every_seconds=30)
    assert options["startingOffsets"] == "earliest"
    assert options.get("maxOffsetsPerTrigger") == expected
    assert options.get("minOffsetsPerTrigger") == expected
    assert options.get("maxTriggerDelay") == ("30000ms" if expected else None)
