"""The properties of a contract in the instrument master that decide its hours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from typing import Final, NamedTuple

from orderflow.market.special_days import SpecialDays
from orderflow.market.timetable import COMMODITY, CURRENCY, DERIVATIVES, Group

FUTURE: Final = "FUT"
AUCTION_TRADING_DAYS: Final = 5
"""Next-month futures have an opening auction in so many trading days before the current month's expiry, and on it."""


class Terms(NamedTuple):
    """One row of the master: key, type (`FUT`, `CE`, `PE` …), underlying's symbol, and expiry as YYYY-MM-DD."""

    key: str
    kind: str
    underlying: str
    expiry: str


class Contract(NamedTuple):
    """The group that decides an instrument's hours; a future has an opening auction from `auction_from` (YYYY-MM-DD) on."""

    group: Group
    auction_from: str = ""

    def group_on(self, trading_date: str) -> Group:
        """Return the group on a date: a future without an opening auction keeps the hours of options."""
        return "option" if self.group == "future" and trading_date < self.auction_from else self.group


_OPTION: Final = Contract("option")


def contracts(
    keys: Iterable[str], rows: Iterable[Terms], special: SpecialDays, is_trading_day: Callable[[str], bool]
) -> dict[str, Contract]:
    """Return the contracts among `keys` by key; instruments without one keep their segment's usual hours.

    `rows` must hold every future of an underlying, since which month is current follows from them; a derivative of
    which they hold no future is an option. The rule for futures is that of NSE/FAOP/71092; a share's ex-date, on which
    its futures have no auction, is not in the master.
    """
    wanted = frozenset(keys)
    by_key = {key: _OPTION for key in wanted if key.partition("|")[0] in DERIVATIVES}
    futures: dict[tuple[str, str], list[Terms]] = defaultdict(list)
    for row in rows:
        segment = row.key.partition("|")[0]
        if segment in DERIVATIVES:
            if row.kind == FUTURE and row.expiry:
                futures[segment, row.underlying].append(row)
        elif row.key not in wanted:
            continue
        elif segment in CURRENCY and row.underlying in special.cross_pairs:
            by_key[row.key] = Contract("cross_currency")
        elif segment in COMMODITY and row.underlying in special.international:
            by_key[row.key] = Contract("commodity_international")
        elif segment in COMMODITY and row.underlying in special.agricultural:
            by_key[row.key] = Contract("commodity_agricultural")
    for months in futures.values():
        if not any(row.key in wanted for row in months):
            continue
        previous = ""
        expiries = sorted({row.expiry for row in months})
        auction_from = dict.fromkeys(expiries, "")
        for expiry in expiries:
            auction_from[expiry] = _trading_days_before(previous, is_trading_day) if previous else ""
            previous = expiry
        by_key.update({row.key: Contract("future", auction_from[row.expiry]) for row in months if row.key in wanted})
    return by_key


def _trading_days_before(expiry: str, is_trading_day: Callable[[str], bool]) -> str:
    """Return the fifth trading day before a date; where no source covers it, the date a fortnight before."""
    day, left = date.fromisoformat(expiry), AUCTION_TRADING_DAYS
    earliest = day - timedelta(days=14)
    while left and day > earliest:
        day -= timedelta(days=1)
        left -= is_trading_day(day.isoformat())
    return day.isoformat()
