"""Which older candles a page asks for."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from orderflow.dashboard.views.viewer import View
from orderflow.market.price_unit import FINEST
from orderflow.market.times import ist_date

ROWS: Final = 375
ROWS_MOST: Final = 2000
FOOTPRINTS: Final = 30
FOOTPRINTS_MOST: Final = 60
_LATEST_MS: Final = 4_102_444_800_000
_HIGHEST_STEP: Final = 100_000 * FINEST


@dataclass(frozen=True, slots=True)
class Wish:
    """A request for candles: at most `count` of those that start before `before_ms`, in the view's form."""

    view: View
    before_ms: int
    count: int
    step: int

    @property
    def day(self) -> str:
        """Return the IST date of the last moment before `before_ms`."""
        return ist_date(self.before_ms - 1)

    @classmethod
    def parse(cls, wish: Mapping[str, Any], default_instrument: str) -> Wish:
        """Build a request from untrusted values; invalid ones become the default."""
        view = View.parse(wish, default_instrument, ROWS)
        default, most = (FOOTPRINTS, FOOTPRINTS_MOST) if view.mode == "footprint" else (ROWS, ROWS_MOST)
        count = _number(wish.get("count"), default)
        return cls(
            view=view,
            before_ms=min(max(round(_number(wish.get("before"), 0)), 0), _LATEST_MS),
            count=round(min(max(count, 1), most)),
            step=round(min(max(_number(wish.get("step"), 0.05) * FINEST, 1), _HIGHEST_STEP)),
        )


def _number(value: Any, default: float) -> float:
    with contextlib.suppress(TypeError, ValueError):
        number = float(value)
        if abs(number) < 1e18:
            return number
    return default
