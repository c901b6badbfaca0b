"""What /healthz says of the feed: healthy only while what the user came for works."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client import CollectorRegistry, generate_latest

from orderflow.health import Health
from orderflow.upstox.connections import merged
from orderflow.upstox.feed_health import Figures, feed_health
from orderflow.upstox.list_change import by_connection
from orderflow.upstox.metrics import InstrumentCollector
from orderflow.upstox.pace import InstrumentHealth
from orderflow.upstox.resolution import Selection
from orderflow.upstox.supervisor import FeedStatus
from orderflow.upstox.watch_list import Change
from orderflow.upstox.worker import FeedReport

FIGURES = Figures(120, 0.01234, 0, 0.0, 0.0, 0.0)
LIVE = InstrumentHealth("live", 0.4, 1.1)
UNSERVED = InstrumentHealth("not served", None, None)
REPORT = FeedReport(True, None, {"NSE_EQ|A": LIVE, "NSE_EQ|B": UNSERVED})


def health(report: FeedReport = REPORT, figures: Figures = FIGURES, state: str = "connected", **more: object) -> Health:
    status = FeedStatus(state, since=1_000.0, connections=1, last_message_at=1_039.0, messages=50)
    skipped = {"MCX_FO|1": "expired"} if more.get("skipped") else {}
    return feed_health(status, report, figures, skipped, str(more.get("watch_list", "")), 1_040.0)


def test_health_when_one_key_is_not_served_then_healthy_and_it_is_named() -> None:
    report = health(skipped=True)
    assert (report.healthy, report.state) == (True, "connected")
    assert report.detail["instrument_states"] == {"live": 1, "quiet": 0, "stalled": 0, "dead": 1, "not served": 1}
    assert report.detail["instrument_health"] == {
        "NSE_EQ|B": {"state": "not served", "last_update_seconds": None, "usual_seconds": None},
        "MCX_FO|1": {"state": "dead", "last_update_seconds": None, "usual_seconds": None},
        "NSE_EQ|A": {"state": "live", "last_update_seconds": 0.4, "usual_seconds": 1.1},
    }
    assert report.detail["skipped"] == {"MCX_FO|1": "expired"}


def test_health_when_nothing_can_be_used_or_nothing_is_served_then_not_healthy_and_the_cause_is_named() -> None:
    slow = health(replace(REPORT, trouble="this machine's clock is 7200 s behind the feed: set the clock"))
    assert (slow.healthy, slow.state) == (False, "nothing can be used")
    assert slow.detail["cause"] == "this machine's clock is 7200 s behind the feed: set the clock"
    unserved = health(FeedReport(True, None, {"NSE_EQ|B": UNSERVED}))
    assert (unserved.healthy, unserved.state) == (False, "nothing is served")
    assert health(FeedReport(False, None, {"NSE_EQ|B": UNSERVED})).healthy


def test_health_when_kafka_does_not_confirm_or_the_feed_is_lost_then_not_healthy() -> None:
    assert health(figures=FIGURES._replace(unconfirmed_seconds=11.0)).state == "Kafka does not confirm"
    assert health(figures=FIGURES._replace(spooling_seconds=11.0)).state == "Kafka does not confirm"
    assert not health(state="retrying").healthy


def test_health_when_the_market_is_closed_the_clock_slow_or_the_list_broken_then_healthy_and_said() -> None:
    report = health(
        replace(REPORT, continuous=False),
        FIGURES._replace(clock_behind_seconds=120.0),
        watch_list="INSTRUMENT_FILE=x cannot be read",
    )
    assert (report.healthy, report.state) == (True, "connected, market closed")
    assert report.detail["clock_behind_seconds"] == 120.0
    assert report.detail["watch_list"] == "INSTRUMENT_FILE=x cannot be read"


def test_health_when_the_list_is_long_then_only_instruments_that_need_a_look_are_shown() -> None:
    many = {f"NSE_EQ|{number}": LIVE for number in range(2_000)} | {"NSE_EQ|S": InstrumentHealth("stalled", 300.0, 1.0)}
    assert list(health(FeedReport(True, None, many)).detail["instrument_health"]) == ["NSE_EQ|S"]  # type: ignore[call-overload]


def test_metrics_when_scraped_then_states_ages_and_paces_by_instrument() -> None:
    registry = CollectorRegistry()
    registry.register(InstrumentCollector(lambda: REPORT.instruments))
    text = generate_latest(registry).decode()
    assert 'orderflow_instruments{state="not served"} 1.0' in text
    assert 'orderflow_instrument_state{instrument="NSE_EQ|B",state="not served"} 1.0' in text
    assert 'orderflow_instrument_last_update_age_seconds{instrument="NSE_EQ|A"} 0.4' in text
    assert 'orderflow_instrument_usual_gap_seconds{instrument="NSE_EQ|A"} 1.1' in text


def test_status_when_one_of_two_connections_is_away_then_it_is_the_state_and_names_how_many_instruments_it_had() -> None:
    up = FeedStatus("connected", since=1_000.0, attempts=1, connections=1, last_message_at=1_030.0, messages=50)
    retrying = FeedStatus("retrying", "refused (403)", since=1_010.0, attempts=3, connections=0)
    status = merged([(up, 7), (retrying, 6)])
    cause = "connection 2 of 2: refused (403); instruments without a connection: 6"
    assert status == FeedStatus("retrying", cause, 1_010.0, 4, 1, 1_030.0, 50, unconnected=6)
    assert merged([(up, 7), (replace(retrying, state="nothing to subscribe"), 0)]).state == "connected"
    assert merged([(retrying, 6)]) == replace(retrying, unconnected=6)
    idle = replace(retrying, state="nothing to subscribe", refused="refused (403)")
    moved = merged([(up, 13), (idle, 0)])
    assert (moved.state, moved.refused, moved.unconnected) == ("connected", "connection 2 of 2: refused (403)", 0)
    assert merged([(FeedStatus("stopped", since=1.0), 0)]).state == "stopped"


def test_list_when_it_changes_then_each_connection_takes_its_own_and_the_first_what_the_ledger_tells() -> None:
    selection = Selection({"A": "full", "B": "full", "C": "ltpc"}, {"X": "expired"}, {}, {"C": "C was D"})
    change = Change(selection, ("C",), ("D",), {}, {"C": "C was D"}, (), None)
    before, after = ({"A": "full", "D": "full"}, {"B": "full"}), ({"A": "full"}, {"B": "full", "C": "ltpc"})
    first, second = by_connection(change, before, after)
    assert (first.added, first.removed, first.selection.modes) == ((), ("D",), {"A": "full"})
    assert (first.selection.skipped, first.replaced) == ({"X": "expired"}, {"C": "C was D"})
    assert (second.added, second.removed) == (("C",), ())
    assert (second.selection, second.replaced) == (Selection({"B": "full", "C": "ltpc"}, {}, {}, {}), {})
