"""What comes before the candles a page holds: earlier minutes of the day, then one stored session after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from test_dashboard_store import KEY, OPEN_MS, final, level, store_with

from orderflow.dashboard.sources.archive import Archive
from orderflow.dashboard.sources.directory import Directory
from orderflow.dashboard.views.days import Days
from orderflow.dashboard.views.older import answer
from orderflow.dashboard.views.wish import Wish
from orderflow.market.candle import Candle
from orderflow.market.closed_day import ClosedDay
from orderflow.market.errors import OrderflowError
from orderflow.market.trade import Trade

DAY_MS = 86_400_000
FRIDAY, THURSDAY = "2025-12-12", "2025-12-11"


class TwoDays:
    """An archive of the two sessions before the running one; of one of them the instrument has nothing on Friday."""

    def __init__(self, empty: Sequence[str] = ()) -> None:
        self.empty = empty
        self.trades_read = 0

    def dates(self) -> Sequence[str]:
        return [THURSDAY, FRIDAY]

    def candles(self, instrument_key: str, date: str, n: int) -> Sequence[Candle]:
        if date in self.empty:
            return []
        days = -3 if date == FRIDAY else -4
        close = 90.0 if date == FRIDAY else 80.0
        made = [final(days * 1440 + minute, 88.0, 91.0, 79.0, close, 5, 4)[1] for minute in range(373, 375)]
        return [Candle.from_record(record) for record in made]

    def trades(self, instrument_key: str, date: str) -> Sequence[Trade]:
        self.trades_read += 1
        return []

    def closed_days(self) -> Mapping[str, ClosedDay]:
        return {}

    def previous_close(self, instrument_key: str, date: str) -> float | None:
        return None

    def footprint(self, instrument_key: str, date: str) -> Sequence[Mapping[str, Any]]:
        return [] if date in self.empty else [level((-3 if date == FRIDAY else -4) * 1440 + 374, 9_000, 5, 4)[1]]


class Away(TwoDays):
    def dates(self) -> Sequence[str]:
        raise ConnectionRefusedError("connection refused")


def days(history: TwoDays | None) -> Days:
    store = store_with(*(final(minute, 100.0, 102.0, 99.0, 100.0 + minute, 30, 20) for minute in range(5)))
    store.apply([level(0, 10_000, 30, 20)])
    return Days(store, Directory((KEY,)), Archive(history))


def ask(source: Days, before_ms: int, **wish: Any) -> dict[str, Any]:
    return answer(source, Wish.parse({"instrument": KEY, "before": str(before_ms), **wish}, KEY))


def test_older_when_the_day_has_earlier_minutes_gives_the_newest_of_them() -> None:
    answer = ask(days(TwoDays()), OPEN_MS + 3 * 60_000, count="2")
    assert (answer["date"], answer["live"], answer["more"], answer["from"]) == ("2025-12-15", True, True, "2025-12-15 09:16:00")
    assert answer["facts"]["close"] == [101.0, 102.0]
    assert answer["facts"]["cvd"] == [20, 30]


def test_older_when_the_day_is_used_up_gives_the_session_before_and_of_it_no_trades_are_read() -> None:
    history = TwoDays()
    answer = ask(days(history), OPEN_MS)
    assert (answer["date"], answer["live"], answer["more"], answer["from"]) == (FRIDAY, False, True, "2025-12-12 15:28:00")
    assert answer["facts"]["close"] == [90.0, 90.0]
    assert answer["facts"]["final"] == [True, True]
    assert history.trades_read == 0
    again = ask(days(history), OPEN_MS - 3 * DAY_MS)
    assert (again["date"], again["more"], again["facts"]["close"]) == (THURSDAY, False, [80.0, 80.0])


def test_older_when_the_last_window_of_a_stored_session_is_cut_at_its_end_it_is_final() -> None:
    answer = ask(days(TwoDays()), OPEN_MS, minutes="30")
    assert answer["facts"]["final"] == [True]
    assert (answer["facts"]["x"], answer["facts"]["window_end"]) == (["2025-12-12 15:15:00"], ["2025-12-12 15:30:00"])


def test_older_when_a_stored_session_lacks_the_instrument_goes_on_to_the_one_before() -> None:
    answer = ask(days(TwoDays(empty=[FRIDAY])), OPEN_MS)
    assert (answer["date"], answer["more"]) == (THURSDAY, False)


def test_older_when_nothing_is_stored_says_so() -> None:
    assert ask(days(None), OPEN_MS)["more"] is False
    assert ask(days(None), OPEN_MS + 60_000)["more"] is False
    answer = ask(days(TwoDays(empty=[FRIDAY, THURSDAY])), OPEN_MS)
    assert (answer["date"], answer["more"], answer["from"], answer["facts"]["x"]) == (None, False, None, [])


def test_older_when_hdfs_is_away_still_gives_the_running_day_and_else_raises() -> None:
    source = days(Away())
    assert ask(source, OPEN_MS + 60_000)["more"] is True
    with pytest.raises(OrderflowError, match="HDFS does not answer"):
        ask(source, OPEN_MS)


def test_older_when_footprints_are_asked_for_gives_their_cells() -> None:
    answer = ask(days(TwoDays()), OPEN_MS + 2 * 60_000, mode="footprint", step="0.05")
    assert [cell["x"] for cell in answer["cells"]] == ["2025-12-15 09:15:00", "2025-12-15 09:16:00"]
    assert answer["cells"][0]["levels"] == [[100.0, 20, 30, 0, 24]]
    assert (answer["cells"][1]["high"], answer["cells"][1]["levels"]) == (102.0, [])


@pytest.mark.parametrize(
    "bad", [{"before": "x"}, {"before": "nan"}, {"before": "-1e30"}, {"count": "1e400"}, {"step": "inf"}, {}]
)
def test_older_when_a_wish_is_not_valid_takes_the_default(bad: dict[str, str]) -> None:
    wish = Wish.parse({"mode": "footprint", **bad}, KEY)
    assert (wish.before_ms, wish.count, wish.step) == (0, 30, 500)
    assert answer(days(TwoDays()), wish)["more"] is False
