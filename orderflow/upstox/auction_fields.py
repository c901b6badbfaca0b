"""Decode what the feed says only while an auction runs: indicative price, quantity and imbalance, and its statuses.

As in `orderflow.upstox.decode`, what is absent on the wire reads as zero and is taken as absent, and a value that
cannot be true is left out and told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

_MOST_PRICE: Final = 1e9
_MOST_QUANTITY: Final = 10**15


class AuctionFields(NamedTuple):
    """One instrument's auction; None for what the feed did not say.

    `price` (iep) is the price at which the auction would match now, in rupees, and `quantity` (ieq) what would trade
    at it. `imbalance` (iiqTotal) is the quantity left over, of which `market_imbalance` (iiqM) are market orders;
    their signs are the feed's, whose documentation does not explain them. `reference_price` (rp) is the closing
    auction's. `closing_auction` (casEligible) says that the share has one.
    """

    price: float | None = None
    quantity: int | None = None
    imbalance: int | None = None
    market_imbalance: int | None = None
    reference_price: float | None = None
    closing_auction: bool = False

    @property
    def is_running(self) -> bool:
        """Say whether an auction runs: the feed gives what it would match."""
        return self.price is not None or self.quantity is not None


class Rejected(NamedTuple):
    """A value that cannot be true: a short reason, and the value in words."""

    reason: str
    detail: str


class AuctionStatus(NamedTuple):
    """A segment's auction status, and since when (epoch milliseconds; None when the feed did not say)."""

    status: str
    since_ms: int | None


class AuctionStatuses(NamedTuple):
    """`casMarketStatus` and `preOpenSessionStatus` of a market_info message, by segment."""

    closing: dict[str, AuctionStatus]
    pre_open: dict[str, AuctionStatus]


NO_AUCTION: Final = AuctionFields()


def auction_fields(market: Any) -> tuple[AuctionFields, tuple[Rejected, ...]]:
    """Return the auction of a `MarketFullFeed`, and the values that were left out; never raises."""
    price = market.iep or _wrapped(market.ltpc)
    if not (price or market.ieq or market.iiqTotal or market.iiqM or market.rp or market.casEligible):
        return NO_AUCTION, ()
    rejected: list[Rejected] = []
    fields = AuctionFields(
        _price(price, "iep", rejected),
        _quantity(market.ieq, "ieq", rejected, least=0),
        _quantity(market.iiqTotal, "iiqTotal", rejected, least=1 - _MOST_QUANTITY),
        _quantity(market.iiqM, "iiqM", rejected, least=1 - _MOST_QUANTITY),
        _price(market.rp, "rp", rejected),
        bool(market.casEligible),
    )
    return fields, tuple(rejected)


def indicative_price(ltpc: Any) -> tuple[float | None, tuple[Rejected, ...]]:
    """Return the indicative price of an `LTPC` message, which is all that mode `ltpc` says of an auction."""
    rejected: list[Rejected] = []
    return _price(_wrapped(ltpc), "ltpc.iep", rejected), tuple(rejected)


def auction_statuses(market_info: Any) -> AuctionStatuses:
    """Return the statuses of a `MarketInfo` message."""
    return AuctionStatuses(_statuses(market_info.casMarketStatus), _statuses(market_info.preOpenSessionStatus))


def _statuses(entries: Mapping[str, Any]) -> dict[str, AuctionStatus]:
    return {segment: AuctionStatus(entry.status, entry.updatedTime or None) for segment, entry in entries.items()}


def _wrapped(ltpc: Any) -> float:
    return float(ltpc.iep.value) if ltpc.HasField("iep") else 0.0


def _price(price: float, name: str, rejected: list[Rejected]) -> float | None:
    if 0.0 < price < _MOST_PRICE:
        return price
    if price != 0.0:
        rejected.append(Rejected("bad_price", f"{name}={price}"))
    return None


def _quantity(quantity: int, name: str, rejected: list[Rejected], *, least: int) -> int | None:
    if quantity and least <= quantity < _MOST_QUANTITY:
        return quantity
    if quantity:
        rejected.append(Rejected("bad_quantity", f"{name}={quantity}"))
    return None
