from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import pytest
from py4j.protocol import Py4JNetworkError

from orderflow.market.errors import OrderflowError, SettingsError
from orderflow.processing.cores import require_cores
from orderflow.processing.watch import _HINTS, QueryWatch
from orderflow.settings import load


class FakeQuery:
    """A query whose progress the test sets."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.isActive = True
        self.recentProgress: list[dict[str, Any]] = []
        self.failure: str | None = None
        self.status = {"isTriggerActive": False}

    @property
    def lastProgress(self) -> dict[str, Any] | None:
        return self.recentProgress[-1] if self.recentProgress else None

    def exception(self) -> str | None:
        return self.failure


class FakeContext:
    def __init__(self, master: str, parallelism: int) -> None:
        self.master = master
        self.defaultParallelism = parallelism
        self.properties: dict[str, str] = {}

    def setLocalProperty(self, name: str, value: str) -> None:
        self.properties[threading.current_thread().name] = f"{name}={value}"


class FakeSession:
    def __init__(self, master: str = "spark://spark-master:7077", parallelism: int = 2) -> None:
        self.sparkContext = FakeContext(master, parallelism)


def progress(batch: int, second: int = 0) -> dict[str, Any]:
    return {
        "timestamp": f"2025-12-15T06:30:{second:02}.000Z",
        "batchId": batch,
        "inputRowsPerSecond": 10.0,
        "processedRowsPerSecond": 20.0,
        "durationMs": {"triggerExecution": 250},
        "sources": [{"metrics": {"maxOffsetsBehindLatest": "3"}}],
    }


def test_health_when_every_query_reports_then_it_shows_their_last_batch() -> None:
    query = FakeQuery("orderflow")
    watch = QueryWatch(FakeSession(), {query.name: lambda: query})  # type: ignore[arg-type, dict-item]
    for report in (progress(1, second=1), progress(2, second=3)):
        query.recentProgress.append(report)
        watch._observe(query.name, query)  # type: ignore[arg-type]
        watch._observe(query.name, query)  # type: ignore[arg-type]
    health = watch.health()
    assert health.healthy
    assert health.detail["orderflow"] == {"active": True, "batch": 2, "rows_per_second": 20.0}


class FakeQueryUntil(FakeQuery):
    """Ends once `event` is set."""

    def __init__(self, event: threading.Event) -> None:
        self.event = event
        super().__init__("ticks")

    @property
    def isActive(self) -> bool:
        return not self.event.is_set()

    @isActive.setter
    def isActive(self, value: bool) -> None: ...


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orderflow.processing.watch._POLL_SECONDS", 0.001)
    monkeypatch.setattr("orderflow.processing.watch._UPKEEP_SECONDS", 0.001)
    monkeypatch.setattr("signal.signal", lambda *_: None)


@pytest.mark.usefixtures("impatient")
def test_watch_when_upkeep_takes_long_then_a_query_that_ends_is_still_seen() -> None:
    began, end = threading.Event(), threading.Event()

    def upkeep() -> None:
        began.set()
        end.wait(30)

    session = FakeSession()
    watch = QueryWatch(session, {"ticks": lambda: FakeQueryUntil(began)})  # type: ignore[arg-type, dict-item]
    with pytest.raises(OrderflowError, match="query ticks has ended"):
        watch.wait(upkeep)
    end.set()
    watch._stop.set()
    assert session.sparkContext.properties == {"upkeep": "spark.scheduler.pool=upkeep"}


@pytest.mark.usefixtures("impatient")
def test_watch_when_upkeep_takes_long_then_looks_go_on_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orderflow.processing.watch._LOOK_SECONDS", 0.001)
    began, end = threading.Event(), threading.Event()
    looks: list[bool] = []

    def look() -> None:
        looks.append(began.wait(30))
        if len(looks) == 3:
            end.set()

    def upkeep() -> None:
        began.set()
        end.wait(30)

    watch = QueryWatch(FakeSession(), {"ticks": lambda: FakeQueryUntil(end)})  # type: ignore[arg-type, dict-item]
    with pytest.raises(OrderflowError, match="query ticks has ended"):
        watch.wait(upkeep, look)
    watch._stop.set()
    assert len(looks) >= 3


@pytest.mark.usefixtures("impatient")
def test_watch_when_upkeep_fails_then_it_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    again = threading.Event()
    calls = 0

    def upkeep() -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            again.set()
        raise ConnectionRefusedError("[Errno 111] Connection refused")

    watch = QueryWatch(FakeSession(), {"ticks": lambda: FakeQueryUntil(again)})  # type: ignore[arg-type, dict-item]
    with pytest.raises(OrderflowError, match="query ticks has ended"):
        watch.wait(upkeep)
    watch._stop.set()
    (record,) = [entry for entry in caplog.records if "upkeep failed; it is tried again" in entry.message]
    assert "Connection refused" in record.message
    assert not record.exc_info  # a server that is away is told in one line


def test_watch_when_a_query_ends_then_it_names_the_cause_and_the_cure() -> None:
    query = FakeQuery("candles")
    query.isActive = False
    query.failure = "java.io.IOException: x\nCaused by: OffsetOutOfRangeException: offsets 5 of upstox_ticks-0"
    watch = QueryWatch(FakeSession(), {query.name: lambda: query})  # type: ignore[arg-type, dict-item]
    with pytest.raises(OrderflowError, match=r"candles has ended: Caused by: OffsetOutOfRange.*docs/TROUBLESHOOTING.md"):
        watch._observe(query.name, query)  # type: ignore[arg-type]
    assert not watch.health().healthy


class Clock:
    """Time that the test advances."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("orderflow.processing.watch.time", clock)
    return clock


AWAY = "java.net.ConnectException: Call From a to namenode:9000 failed\nCaused by: java.net.ConnectException: Connection refused"


def failed(name: str, text: str = AWAY) -> FakeQuery:
    query = FakeQuery(name)
    query.isActive, query.failure = False, text
    return query


@pytest.mark.parametrize(
    "text",
    [
        "The NameSpace quota (directories and files) of directory /trading/checkpoints is exceeded: quota=1 file count=93",
        "The DiskSpace quota of /trading is exceeded: quota = 1048576 B = 1 MB but diskspace consumed = 9 MB",
        "HDFS at hdfs://x:9000 does not accept files yet (Cannot delete /trading/_staging/ticks. Name node is in safe mode.)",
        "[CANNOT_WRITE_STATE_STORE.CANNOT_COMMIT] Error writing state store files for provider HDFSStateStore",
        "[FAILED_READ_FILE.FILE_NOT_EXIST] Encountered error while reading file hdfs://x:9000/trading/candles/date=2025-12-15/a.parquet",
    ],
)
def test_watch_when_hdfs_takes_no_files_then_the_query_starts_again_in_its_process(clock: Clock, text: str) -> None:
    made = [failed("ticks", text), FakeQuery("ticks")]
    watch = QueryWatch(FakeSession(), {"ticks": lambda: made.pop(0)})  # type: ignore[arg-type, dict-item, return-value]
    watch._observe("ticks", watch._queries["ticks"])
    clock.now += 1.0
    watch._observe("ticks", watch._queries["ticks"])
    assert made == []
    assert watch.health().healthy


def test_health_when_a_query_never_reports_then_it_is_unhealthy_and_the_process_ends_later(clock: Clock) -> None:
    watch = QueryWatch(FakeSession(), {"ticks": lambda: FakeQuery("ticks")})  # type: ignore[arg-type, dict-item, return-value]
    clock.now += 180.0
    assert watch.health().healthy
    clock.now += 1.0
    assert watch.health().state == "no progress for 181 s: ticks"
    clock.now += 359.0
    watch._end_if_hung("ticks")
    clock.now += 1.0
    with pytest.raises(OrderflowError, match="query ticks hangs: no progress for 541 s"):
        watch._end_if_hung("ticks")


def test_health_when_a_real_time_query_reports_once_an_interval_then_two_may_be_missing(clock: Clock) -> None:
    trades = FakeQuery("trades")
    watch = QueryWatch(FakeSession(), {"trades": lambda: trades}, {"trades": 300.0})  # type: ignore[arg-type, dict-item, return-value]
    trades.recentProgress.append({**progress(1), "numInputRows": 5})
    watch._observe("trades", trades)  # type: ignore[arg-type]
    clock.now += 780.0
    assert watch.health().healthy
    clock.now += 1.0
    assert watch.health().state == "no progress for 781 s: trades"


def both(trades_rows: list[int], candle_rows: list[int]) -> QueryWatch:
    """Watch a real-time query and another one over as many batches of each, in which they read so many rows."""
    trades, candles = FakeQuery("trades"), FakeQuery("orderflow")
    starts = {query.name: lambda query=query: query for query in (trades, candles)}
    watch = QueryWatch(FakeSession(), starts, {"trades": 300.0})  # type: ignore[arg-type]
    for batch, (of_trades, of_candles) in enumerate(zip(trades_rows, candle_rows, strict=True)):
        for query, rows in ((candles, of_candles), (trades, of_trades)):
            query.recentProgress.append({**progress(batch, second=batch), "numInputRows": rows})
            watch._observe(query.name, query)  # type: ignore[arg-type]
            watch._observe(query.name, query)  # type: ignore[arg-type]
    return watch


@pytest.mark.parametrize(
    ("trades_rows", "candle_rows", "state"),
    [
        ([0, 0], [9, 9], "reads nothing, while other queries read ticks: trades"),
        ([0, 0, 0], [9, 0, 9], "reads nothing, while other queries read ticks: trades"),
        ([0], [9], "running"),
        ([5, 0], [9, 9], "running"),
        ([0, 0], [0, 0], "running"),
        ([0, 0, 1], [9, 9, 9], "running"),
    ],
)
def test_health_when_a_real_time_query_reads_nothing_of_what_others_read_then_it_is_unhealthy(
    trades_rows: list[int], candle_rows: list[int], state: str
) -> None:
    assert both(trades_rows, candle_rows).health().state == state


def test_watch_when_a_real_time_query_goes_on_reading_nothing_then_the_process_ends() -> None:
    both([0, 0, 0], [9, 9, 9])._end_if_hung("trades")
    with pytest.raises(OrderflowError, match="query trades has read nothing in 4 batches"):
        both([0, 0, 0, 0], [9, 9, 9, 9])._end_if_hung("trades")


def test_watch_when_a_server_was_away_then_the_query_starts_again_in_its_process(clock: Clock) -> None:
    working = FakeQuery("orderflow")
    made: list[FakeQuery] = [failed("orderflow"), failed("orderflow"), working]
    watch = QueryWatch(FakeSession(), {"orderflow": lambda: made.pop(0)})  # type: ignore[arg-type, dict-item, return-value]

    def look() -> bool:
        watch._observe("orderflow", watch._queries["orderflow"])
        return watch.health().healthy

    assert not look()
    assert watch.health().state.endswith("orderflow")
    clock.now += 0.9
    assert not look()
    assert len(made) == 2
    clock.now += 0.1
    look()
    assert len(made) == 1
    assert not look()  # it has failed again, and waits two seconds now
    clock.now += 1.9
    assert not look()
    assert len(made) == 1
    clock.now += 0.1
    look()
    working.recentProgress.append(progress(7))
    assert look()
    assert watch._failed == {}


@pytest.mark.usefixtures("impatient")
def test_watch_when_the_jvm_is_gone_before_the_queries_are_stopped_then_the_end_is_clean() -> None:
    class Gone(FakeQuery):
        def stop(self) -> None:
            raise Py4JNetworkError("Answer from Java side is empty")

    watch = QueryWatch(FakeSession(), {"ticks": lambda: Gone("ticks")})  # type: ignore[arg-type, dict-item, return-value]
    watch._stop.set()
    assert watch.wait() == 0


@pytest.mark.usefixtures("impatient")
def test_watch_when_the_jvm_goes_while_it_runs_then_the_end_says_so() -> None:
    class Gone(FakeQuery):
        @property
        def isActive(self) -> bool:
            raise Py4JNetworkError("Answer from Java side is empty")

        @isActive.setter
        def isActive(self, value: bool) -> None: ...

    watch = QueryWatch(FakeSession(), {"ticks": lambda: Gone("ticks")})  # type: ignore[arg-type, dict-item, return-value]
    with pytest.raises(OrderflowError, match="Spark's JVM is gone"):
        watch.wait()


@pytest.mark.usefixtures("impatient")
def test_watch_when_the_jvm_goes_after_sigterm_has_come_then_the_end_is_clean() -> None:
    class Going(FakeQuery):
        @property
        def isActive(self) -> bool:
            watch._stop.set()
            raise Py4JNetworkError("Answer from Java side is empty")

        @isActive.setter
        def isActive(self, value: bool) -> None: ...

    watch = QueryWatch(FakeSession(), {"ticks": lambda: Going("ticks")})  # type: ignore[arg-type, dict-item, return-value]
    assert watch.wait() == 0


@pytest.mark.usefixtures("impatient")
def test_watch_when_a_batch_is_under_way_at_the_end_then_it_is_waited_for_but_not_for_ever(clock: Clock) -> None:
    class Busy(FakeQuery):
        """Its batch ends after `left` looks."""

        left = 3

        @property
        def status(self) -> dict[str, bool]:
            self.left -= 1
            return {"isTriggerActive": self.left > 0}

        @status.setter
        def status(self, value: dict[str, bool]) -> None: ...

        def stop(self) -> None:
            stopped.append((self.name, self.left))

    stopped: list[tuple[str, int]] = []
    busy, stuck, live = Busy("ticks"), Busy("candles"), Busy("trades")
    stuck.left = live.left = 10**9
    queries = {query.name: query for query in (busy, stuck, live)}
    session = FakeSession()
    session.stop = lambda: stopped.append(("spark", 0))  # type: ignore[attr-defined]
    watch = QueryWatch(session, {name: lambda query=query: query for name, query in queries.items()}, {"trades": 300.0})  # type: ignore[arg-type, misc]
    watch._stop.set()
    assert watch.wait() == 0
    assert [name for name, _ in stopped] == ["ticks", "candles", "trades", "spark"]
    assert stopped[0][1] == 0
    assert stuck.left > 10**9 - 200
    assert live.left == 10**9


def test_watch_when_a_start_itself_fails_then_it_is_tried_again(clock: Clock) -> None:
    answers: list[FakeQuery | OrderflowError] = [
        failed("ticks"),
        OrderflowError("cannot look up topic upstox_ticks at kafka:29092 (NoBrokersAvailable)"),
        FakeQuery("ticks"),
    ]

    def start() -> FakeQuery:
        answer = answers.pop(0)
        if isinstance(answer, OrderflowError):
            raise answer
        return answer

    watch = QueryWatch(FakeSession(), {"ticks": start})  # type: ignore[arg-type, dict-item]
    for seconds in (0.0, 1.0, 2.0):
        clock.now += seconds
        watch._observe("ticks", watch._queries["ticks"])
    assert answers == []
    assert watch.health().healthy


def test_watch_when_it_does_not_pass_within_five_minutes_or_is_no_outage_then_the_process_ends(clock: Clock) -> None:
    watch = QueryWatch(FakeSession(), {"ticks": lambda: failed("ticks")})  # type: ignore[arg-type, dict-item, return-value]

    def look_for_ever() -> None:
        while clock.now < 1_000:
            watch._observe("ticks", watch._queries["ticks"])
            clock.now += 1.0

    with pytest.raises(OrderflowError, match=r"has not worked for 3.. s: Caused by: java.net.ConnectException"):
        look_for_ever()
    assert 400 < clock.now < 430
    lost = QueryWatch(FakeSession(), {"ticks": lambda: failed("ticks", "SparkException: KAFKA_DATA_LOSS")})  # type: ignore[arg-type, dict-item, return-value]
    with pytest.raises(OrderflowError, match=r"ticks has ended: .*Kafka deleted unread messages"):
        lost._observe("ticks", lost._queries["ticks"])


def test_cores_when_fewer_than_the_topics_partitions_and_two_then_the_processor_refuses_with_the_setting() -> None:
    settings = load({"KAFKA_PARTITIONS": "2", "PROCESSOR_CORES": "5"})
    with pytest.raises(SettingsError, match=r"has 5 cores .* 4 partitions of upstox_ticks, .* PROCESSOR_CORES=6"):
        require_cores(FakeSession(), settings, partitions=4)  # type: ignore[arg-type]
    require_cores(FakeSession(), settings, partitions=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["orderflow/processing/watch.py", "orderflow/processing/state_guard.py"])
def test_messages_when_they_name_a_section_of_troubleshooting_then_it_is_there(path: str) -> None:
    root = Path(__file__).resolve().parents[2]
    named = set(re.findall(r"docs/TROUBLESHOOTING\.md, '([^']+)'", (root / path).read_text()))
    assert "Kafka deleted unread messages" in named
    page = (root / "docs" / "TROUBLESHOOTING.md").read_text()
    assert [section for section in named if f"### {section}\n" not in page] == []


def test_hints_when_kafka_lost_data_then_one_is_found_before_sparks_own_advice() -> None:
    text = "[KAFKA_DATA_LOSS.COULD_NOT_READ_OFFSET_RANGE] Some data may have been lost because they are not available in Kafka"
    assert "Kafka deleted unread messages" in next(hint for sign, hint in _HINTS if sign in text)
