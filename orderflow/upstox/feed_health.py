"""The streamer's report about itself on /healthz: a pure function of what its parts report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

from orderflow.health import Health
from orderflow.upstox.pace import STATES, InstrumentHealth
from orderflow.upstox.supervisor import FeedStatus
from orderflow.upstox.worker import FeedReport

_UNHEALTHY_AFTER_SECONDS: Final = 30.0
_UNCONFIRMED_SECONDS: Final = 10.0
_LISTED: Final = 50


class Figures(NamedTuple):
    """What else /healthz shows."""

    ticks_stored: int
    publish_lag_seconds: float
    spool_bytes: int
    unconfirmed_seconds: float
    spooling_seconds: float
    clock_behind_seconds: float


def feed_health(
    status: FeedStatus, report: FeedReport, figures: Figures, skipped: Mapping[str, str], watch_list_failure: str, now: float
) -> Health:
    """Return the streamer's health at `now` (of the monotonic clock).

    Healthy means that the product works for its user: connected, usable messages, updates for instruments, Kafka
    confirming.
    """
    instruments = with_dead(report.instruments, skipped)
    detail: dict[str, object] = {
        "cause": status.cause,
        "instruments": len(report.instruments),
        "instrument_states": states(instruments),
        "instrument_health": shown(instruments),
        "messages": status.messages,
        "ticks_stored": figures.ticks_stored,
        "last_message_seconds_ago": None if status.last_message_at is None else round(now - status.last_message_at, 1),
        "publish_lag_seconds": round(figures.publish_lag_seconds, 3),
        "spool_bytes": figures.spool_bytes,
        "market_open": report.continuous,
    }
    if status.refused:
        detail["refused"] = status.refused
    if status.unconnected:
        detail["unconnected_instruments"] = status.unconnected
    if skipped:
        detail["skipped"] = dict(skipped)
    if watch_list_failure:
        detail["watch_list"] = watch_list_failure
    if figures.clock_behind_seconds:
        detail["clock_behind_seconds"] = figures.clock_behind_seconds
    if max(figures.unconfirmed_seconds, figures.spooling_seconds) > _UNCONFIRMED_SECONDS:
        oldest = round(figures.unconfirmed_seconds, 1)
        return Health(False, "Kafka does not confirm", {**detail, "oldest_unconfirmed_seconds": oldest})
    if status.state == "connected":
        if report.trouble is not None:
            return Health(False, "nothing can be used", {**detail, "cause": report.trouble})
        if report.continuous and report.instruments and all(each.state == "not served" for each in report.instruments.values()):
            cause = "the feed sends none of the instruments: check INSTRUMENT, UPSTOX_FEED_MODE and the account's plan"
            return Health(False, "nothing is served", {**detail, "cause": cause})
        return Health(True, "connected" if report.continuous else "connected, market closed", detail)
    patient = status.state in ("connecting", "retrying") and now - status.since < _UNHEALTHY_AFTER_SECONDS
    return Health(patient and status.connections > 0, status.state, detail)


def with_dead(instruments: Mapping[str, InstrumentHealth], skipped: Mapping[str, str]) -> dict[str, InstrumentHealth]:
    """Return the instruments together with those that were skipped at the start: expired or unknown."""
    return {**instruments, **dict.fromkeys(skipped, InstrumentHealth("dead", None, None))}


def states(instruments: Mapping[str, InstrumentHealth]) -> dict[str, int]:
    """Count instruments by state."""
    counted = Counter(each.state for each in instruments.values())
    return {state: counted[state] for state in STATES}


def shown(instruments: Mapping[str, InstrumentHealth]) -> dict[str, dict[str, object]]:
    """Return the instruments that /healthz shows one by one: all of a short list, of a long list those that need attention."""
    worst = sorted(instruments.items(), key=lambda item: (-STATES.index(item[1].state), item[0]))[:_LISTED]
    return {key: each._asdict() for key, each in worst if len(instruments) <= _LISTED or each.state not in ("live", "quiet")}
