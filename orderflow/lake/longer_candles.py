"""Longer candles from stored minutes; pure."""

from __future__ import annotations

from itertools import groupby
from typing import Final

import pyarrow as pa

from orderflow.lake.layout import arrow_schema
from orderflow.market import records
from orderflow.market.calendar import sessions_of
from orderflow.market.candle import Candle
from orderflow.market.measures import roll_up

_FAR_MS: Final = 1 << 62


def rolled_up(minutes: pa.Table, n: int) -> pa.Table:
    """Return n-minute candles of one instrument's minute candles, which may span many days.

    Windows begin at the start of the session they belong to and are cut at its end.
    """
    candles = [Candle.from_record(row) for row in minutes.to_pylist()]
    longer: list[Candle] = []
    for _, group in groupby(candles, key=lambda candle: candle.window()[0][:10]):
        day = list(group)
        sessions = sessions_of(day)
        for session, until_ms in zip(sessions, [*(later.start_ms for later in sessions[1:]), _FAR_MS], strict=True):
            own = [minute for minute in day if session.start_ms <= minute.start_ms < until_ms]
            longer += roll_up(own, n, session.start_ms, session.end_ms)
    return pa.Table.from_pylist([candle.to_record() for candle in longer], schema=arrow_schema(records.CANDLE))
