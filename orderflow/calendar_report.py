"""`python -m orderflow calendar`: a date's phases, who forecasts them, and what the feed has confirmed."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from orderflow.clusters import KafkaCluster
from orderflow.market.calendar import SessionCalendar
from orderflow.market.errors import OrderflowError, SettingsError
from orderflow.market.phases import Day
from orderflow.market.session import SegmentState
from orderflow.market.stored_state import SEGMENT, segment_state
from orderflow.market.times import DAY_MS, IST, ist_clock
from orderflow.market.timetable import SEGMENTS, groups_of
from orderflow.market.transitions import confirmed
from orderflow.settings import Settings


class Heard(NamedTuple):
    """What a streamer has heard of one segment."""

    state: SegmentState
    owner: str


def add_parser(commands: Any) -> None:
    """Add `calendar`; it sets `run`, which takes the arguments and the settings."""
    parser = commands.add_parser("calendar", help="show a date's phases: what is forecast, what is confirmed, and by whom")
    parser.add_argument("--date", help="date in India, YYYY-MM-DD; default: today")
    parser.add_argument("--segment", action="append", choices=SEGMENTS, help="may repeat; default: all")
    parser.add_argument("--offline", action="store_true", help="ask neither Upstox nor Kafka")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print the report. Raises SettingsError when the date is none."""
    from orderflow.upstox.calendar import load_calendar

    trading_date = _date(arguments.date)
    rest_url = None if arguments.offline else settings.rest_url
    calendar, warning = load_calendar(rest_url, settings.spool_dir, settings.ca_file, date.fromisoformat(trading_date))
    heard: dict[str, Heard] = {}
    notes = [warning] if warning else []
    if arguments.offline:
        notes.append("Neither Upstox nor Kafka was asked.")
    else:
        try:
            heard = stored_announcements(settings.kafka)
        except OrderflowError as error:
            notes.append(f"What the feed announced is not known: {error}")
    print(*report(calendar, trading_date, arguments.segment or SEGMENTS, heard), sep="\n")
    if notes:
        print("", *notes, sep="\n")
    return 0


def stored_announcements(kafka: KafkaCluster) -> dict[str, Heard]:
    """Return each segment's announcements of its latest date. Raises OrderflowError when Kafka does not answer."""
    from orderflow.broker.lookout import leaders_answer
    from orderflow.broker.resume import read_stored

    if not leaders_answer(kafka):
        raise OrderflowError(f"Kafka at {kafka} does not answer; is the stack up?")
    stored = read_stored(kafka, lambda name: name.startswith(SEGMENT), ())
    return {
        key.removeprefix(SEGMENT): Heard(segment_state(record), str(record["owner"])) for key, record in stored.states.items()
    }


def report(calendar: SessionCalendar, trading_date: str, segments: Iterable[str], heard: Mapping[str, Heard]) -> Iterator[str]:
    """Yield the report's lines: each segment's groups, together where they keep the same hours."""
    yield f"{date.fromisoformat(trading_date):%A} {trading_date}, times in IST"
    for segment in segments:
        of_segment = heard.get(segment)
        state = SegmentState() if of_segment is None else of_segment.state.on(trading_date)
        reference = calendar.day(segment, trading_date)
        alike: dict[tuple[str, ...], list[str]] = {}
        for group in groups_of(segment):
            forecast = calendar.day(segment, trading_date, group)
            day = confirmed(forecast, reference, state.changes, carried=state.carried)
            lines = (
                f"  forecast by   {_forecast(forecast)}",
                f"  confirmed by  {_confirmed(day, of_segment)}",
                *_phases(day, forecast),
            )
            alike.setdefault(lines, []).append(group)
        for lines, groups in alike.items():
            yield ""
            yield f"{segment} {', '.join(groups)}"
            yield from lines


def _forecast(day: Day) -> str:
    note = f" ({day.note})" if day.note else ""
    return f"{day.source}{note}" if day.known else f"nobody: unknown{note}"


def _confirmed(day: Day, heard: Heard | None) -> str:
    return f"the feed, received by {heard.owner}: {day.confirmed}" if day.confirmed and heard is not None else "nobody"


def _phases(day: Day, forecast: Day) -> Iterator[str]:
    if not day.spans:
        yield "  closed" if day.known else "  unknown"
    elif not day.known:
        yield "  unknown; if the feed opens the market, its usual hours are:"
    for span in day.spans:
        session = f"  session {span.session}" if len(day.sessions()) > 1 else ""
        changed = "" if span in forecast.spans else "  (by the feed)"
        yield f"  {ist_clock(span.start_ms)[:5]}-{_end(span.end_ms, day)}  {span.phase}{session}{changed}"


def _end(end_ms: int, day: Day) -> str:
    return "24:00" if end_ms - day.midnight_ms == DAY_MS else ist_clock(end_ms)[:5]


def _date(text: str | None) -> str:
    if text is None:
        return datetime.now(UTC).astimezone(IST).date().isoformat()
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise SettingsError(f"--date {text} is not a date; for example --date 2026-11-27") from error
