"""Reads an update's cumulative volume: how much of it is new, and whether it is plausible.

`vtt` is cumulative, so no volume is lost if a value is skipped: the next value includes it. So an update without a price, and
an implausibly high value, are skipped:

    vtt      1,100    10,000,001,200    1,300        1,100    900,000    900,040
    counts   1,100    (doubtful)        1,300        1,100    (doubtful) 900,040   the second one confirms the first
    traded            –                   200                 –          898,940
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from orderflow.market.session import has_opening_auction
from orderflow.market.times import DAY_MS, IST_OFFSET_MS

if TYPE_CHECKING:
    from orderflow.market.inference import InstrumentState
    from orderflow.market.session import Session
    from orderflow.market.tick import FeedUpdate

BUFFER_MS: Final = 180_000
"""NSE ends pre-open matching three minutes before continuous trading; from then on vtt is the real traded volume."""
DOUBTFUL_FROM: Final = 500_000
"""A smaller rise is always accepted."""
MOST_A_DAY: Final = 5_000_000_000
"""More than any instrument of these exchanges has traded in a day."""

_BUSY_MS: Final = 10_000
_CONFIRMED_AFTER_MS: Final = 5_000
_BELIEVED_AFTER_MS: Final = 60_000
_EPOCH: Final = date(1970, 1, 1).toordinal()


class Reading(NamedTuple):
    """The volume of an update.

    `vtt` is the cumulative volume that counts from now on, None if this update adds nothing; `traded` is its rise
    (records.TICK); `doubtful` is a cumulative volume that waits for confirmation.
    """

    vtt: int | None = None
    traded: int | None = None
    out_of_order: bool = False
    doubtful: int | None = None


def read_volume(state: InstrumentState, update: FeedUpdate, session: Session, *, started: bool, after_gap: bool) -> Reading:
    """Evaluate the cumulative volume of one update against the state of its instrument.

    `started`: the update's last trade was in continuous trading or after it. `after_gap`: updates may have been missed.
    """
    vtt = stated_volume(update, session)
    if vtt is None:
        return Reading()
    if state.in_session and state.vtt is not None and vtt < state.vtt:
        return Reading(None, 0 if started else None, True)
    if started and vtt - (state.vtt or 0) >= DOUBTFUL_FROM and _waits(state, update, vtt, after_gap):
        return Reading(doubtful=vtt)
    known = started and state.vtt is not None and (state.in_session or _is_baseline(state, session))
    return Reading(vtt, vtt - state.vtt if known and state.vtt is not None and vtt >= state.vtt else None)


def stated_volume(update: FeedUpdate, session: Session) -> int | None:
    """Return today's volume by an update; None if it has none that can be counted.

    Without a price or a time of the last trade the volume cannot be placed, so it is counted with a later update. A last trade
    of another day means that nothing has traded today: until the first trade, feeds show yesterday's vtt.
    """
    if not update.vtt:
        return update.vtt
    if update.ltt_ms is None or update.ltp is None:
        return None
    today = _day(session.trading_date)
    # No exchange trades through midnight; a replay does, and its volume continues.
    if (update.ltt_ms + IST_OFFSET_MS) // DAY_MS != today and session.start_ms + IST_OFFSET_MS != today * DAY_MS:
        return 0
    return update.vtt


def _is_baseline(state: InstrumentState, session: Session) -> bool:
    """Return whether the volume known from before continuous trading includes everything that had traded by then."""
    if state.volume_time_ms is not None and state.volume_time_ms >= session.start_ms - BUFFER_MS:
        return True
    if state.vtt:
        return True  # an auction's, since `stated_volume` takes none of another day
    return not has_opening_auction(state.instrument_key)


def _waits(state: InstrumentState, update: FeedUpdate, vtt: int, after_gap: bool) -> bool:
    """Return whether a cumulative volume is so high that another update must confirm it before it is counted."""
    if not _is_doubtful(state, update, vtt, after_gap):
        return False
    first, since_ms = state.doubtful_vtt, state.doubtful_ms
    if first is None or since_ms is None or vtt < first:
        return True
    waited_ms = update.feed_time_ms - since_ms
    if update.day_bar is not None and update.day_bar.volume:
        return waited_ms < _BELIEVED_AFTER_MS
    agrees = first < vtt <= first + (first - (state.vtt or 0)) // 10
    return not agrees and waited_ms < _CONFIRMED_AFTER_MS


def _is_doubtful(state: InstrumentState, update: FeedUpdate, vtt: int, after_gap: bool) -> bool:
    """Return whether a rise is out of proportion, and the exchange's bar of the running day does not show it.

    The running day lags by one update, so a real rise of this size shows in the next one. Without it, a rise of more
    than the day's volume so far is doubted, unless updates may have been missed.
    """
    known = state.vtt or 0
    rise = vtt - known
    after_silence = after_gap or state.volume_time_ms is None or update.feed_time_ms - state.volume_time_ms > _BUSY_MS
    if update.day_bar is not None and update.day_bar.volume:
        return vtt - update.day_bar.volume > rise // 2 and (after_silence or rise > known // 10)
    return vtt > MOST_A_DAY or (not after_silence and rise > known)


@lru_cache(maxsize=16)
def _day(trading_date: str) -> int:
    """Return the number of a date's day since 1970-01-01."""
    return date.fromisoformat(trading_date).toordinal() - _EPOCH
