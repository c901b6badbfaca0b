"""The local process manager: feeds, what must hold before a start, supervisor's configuration, the table."""

from __future__ import annotations

import gzip
import os
import socket
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path
from types import SimpleNamespace

import pytest

from deploy.local import preflight
from deploy.local.condition import Condition, last_complaint, table
from deploy.local.services import SERVICES, Service, services
from deploy.local.stack import Stack, StackError, demo_feed, feed_name, recorded_instruments, refuse_older_feed
from deploy.local.supervision import configuration, socket_path, stopping_order

ROOT = Path(__file__).resolve().parents[2]


def stack_in(directory: Path, **env: str) -> Stack:
    return Stack({"DATA_DIR": str(directory), "BIND_HOST": "127.0.0.1", **env})


def test_demo_feed_when_nothing_is_set_is_the_live_market_model():
    feed = demo_feed({})
    assert feed == {"FEED": "simulator", "SIM_SPEED": "1"}
    assert feed_name(feed) == "model"


def test_demo_feed_when_a_recording_is_given_keeps_its_times_and_instruments(tmp_path):
    recording = tmp_path / "day.jsonl.gz"
    with gzip.open(recording, "wt") as file:
        file.write('{"type":"market_info"}\n{"feeds":{"NSE_EQ|A":{}}}\n{"feeds":{"NSE_EQ|B":{},"NSE_EQ|A":{}}}\n')
    feed = demo_feed({"FEED_RECORDING": str(recording), "FEED_SPEED": "20"})
    assert feed == {
        "FEED": "simulator",
        "SIM_SPEED": "20",
        "SIM_RECORDING": str(recording),
        "SIM_TIMES": "original",
        "INSTRUMENT": "NSE_EQ|A,NSE_EQ|B",
    }
    assert feed_name(feed) == "recording day.jsonl.gz original"


def test_recorded_instruments_when_one_is_quiet_for_long_then_it_is_streamed_all_the_same(tmp_path):
    recording = tmp_path / "day.jsonl"
    recording.write_text('{"feeds":{"NSE_EQ|A":{}}}\n' * 300 + '{"feeds":{"NSE_EQ|QUIET":{}}}\n')
    assert recorded_instruments(recording) == ("NSE_EQ|A", "NSE_EQ|QUIET")


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"FEED_SPEED": "fast"}, "FEED_SPEED=fast"),
        ({"FEED_SPEED": "0"}, "FEED_SPEED=0"),
        ({"FEED_SPEED": "5"}, "FEED_RECORDING"),
        ({"FEED_RECORDING": "/nowhere/day.jsonl"}, "cannot be read"),
    ],
)
def test_demo_feed_when_given_nonsense_then_says_what_to_give(environ, words):
    with pytest.raises(StackError, match=words):
        demo_feed(environ)


def test_recorded_instruments_when_the_file_names_none_then_asks_for_them(tmp_path):
    recording = tmp_path / "empty.jsonl"
    recording.write_text('{"type":"market_info"}\n')
    with pytest.raises(StackError, match="set INSTRUMENT"):
        recorded_instruments(recording)


def test_original_times_when_the_directory_has_seen_another_feed_are_refused_with_the_cure():
    with pytest.raises(StackError, match=r"FEED_TIMES=now, into another DATA_DIR=…, or run make clean"):
        refuse_older_feed(["model"], "recording day.jsonl.gz original")


@pytest.mark.parametrize(
    ("seen", "feed"),
    [
        ([], "recording day.jsonl.gz original"),
        (["recording day.jsonl.gz original"], "recording day.jsonl.gz original"),
        (["live"], "recording day.jsonl.gz now"),
        (["recording day.jsonl.gz original"], "live"),
    ],
)
def test_feed_when_its_times_are_not_older_than_what_was_seen_is_accepted(seen, feed):
    refuse_older_feed(seen, feed)


def test_port_when_another_process_listens_is_named_with_its_holder(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        service = Service("kafka", "server", ("KAFKA_PORT",))
        with pytest.raises(StackError, match=rf"port {port} \(kafka\) is in use, held by process {os.getpid()} .*PORT_OFFSET"):
            preflight.check_ports(stack_in(tmp_path, KAFKA_PORT=str(port)), (service,))


def test_data_dir_when_its_parent_is_a_file_then_says_which_variable_to_set(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StackError, match=r"DATA_DIR=.*cannot be written"):
        preflight.check_data_dir(tmp_path / "file" / "data")


def test_data_dir_when_the_disk_is_nearly_full_then_says_how_much_is_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda path: SimpleNamespace(free=20 << 20))
    with pytest.raises(StackError, match="20 MiB free, and 1024 MiB are needed"):
        preflight.check_data_dir(tmp_path)


def test_data_dir_when_its_path_has_a_space_is_refused(tmp_path):
    with pytest.raises(StackError, match="space"):
        preflight.check_data_dir(tmp_path / "my data")


@pytest.mark.parametrize(
    ("printed", "words"), [("", "no Java found"), ('openjdk version "11.0.2"', "is Java 11, and 17 is needed")]
)
def test_java_when_absent_or_old_then_gives_the_command(tmp_path, printed, words):
    if printed:
        java = tmp_path / "bin" / "java"
        java.parent.mkdir()
        java.write_text(f"#!/bin/sh\necho '{printed}' >&2\n")
        java.chmod(0o755)
    with pytest.raises(StackError, match=f"{words}.*apt-get install"):
        preflight.check_java({"JAVA_HOME": str(tmp_path)})


@pytest.mark.parametrize("token", ["", "your_access_token_here"])
def test_token_when_missing_then_names_env_file_and_demo(token):
    with pytest.raises(StackError, match=r"UPSTOX_ACCESS_TOKEN.*\.env.*make demo"):
        preflight.check_token({"UPSTOX_ACCESS_TOKEN": token})


def test_token_when_only_its_file_is_there_is_accepted(tmp_path):
    (tmp_path / "token").write_text("secret")
    preflight.check_token({"UPSTOX_ACCESS_TOKEN_FILE": str(tmp_path / "token")})


def test_supervisor_when_configured_restarts_crashed_services_for_ever_and_finished_set_up_never(tmp_path):
    parsed = RawConfigParser()
    parsed.read_string(configuration(stack_in(tmp_path), services("simulator")))
    programs = [section for section in parsed.sections() if section.startswith("program:")]
    assert programs == [f"program:{service.name}" for service in SERVICES]
    assert parsed["program:kafka"]["autorestart"] == "true"
    assert parsed["program:setup-topics"]["autorestart"] == "unexpected"
    assert all(int(parsed[program]["startretries"]) >= 1_000_000 for program in programs)
    assert parsed["program:datanode2"]["command"].endswith("deploy/launch/datanode 2")


def test_supervisor_when_it_stops_an_application_leaves_the_jvm_to_it(tmp_path):
    parsed = RawConfigParser()
    parsed.read_string(configuration(stack_in(tmp_path), services("simulator")))
    signalled = {name: parsed[f"program:{name}"]["stopasgroup"] for name in ("tick-storage", "processor", "kafka")}
    assert signalled == {"tick-storage": "false", "processor": "false", "kafka": "true"}


def test_stopping_order_lets_the_master_see_its_worker_leave_and_keeps_zookeeper_to_the_end():
    waves = stopping_order(SERVICES)
    assert sorted(name for wave in waves for name in wave) == sorted(service.name for service in SERVICES)
    assert {"processor", "data-streamer", "plotter"} <= set(waves[0])
    assert waves[-3:] == [["spark-worker"], ["spark-master"], ["zookeeper"]]


def test_control_socket_when_the_directory_is_deep_lies_where_its_path_fits(tmp_path):
    deep = tmp_path / ("d" * 100)
    assert len(bytes(socket_path(stack_in(deep)))) <= 107
    assert socket_path(stack_in(deep)) != socket_path(stack_in(tmp_path / ("e" * 100)))


def test_table_when_a_service_is_not_healthy_shows_why_and_sums_memory():
    kafka, plotter = SERVICES[1], SERVICES[-1]
    text = table(
        [Condition(kafka, "running", 12, 34, 200 << 20, ""), Condition(plotter, "backoff", 0, 0, 0, "process is backoff: exited")]
    )
    assert "kafka    running  12   34s  200M    healthy" in text
    assert "process is backoff: exited" in text
    assert text.endswith("shared pages once: 200 MiB")


def test_last_complaint_when_the_log_goes_on_after_an_error_is_the_error(tmp_path):
    log = tmp_path / "x.log"
    log.write_text("start\n2026-01-01 ERROR token refused\nretrying\n")
    assert last_complaint(log) == "2026-01-01 ERROR token refused"


def test_clean_when_the_directory_is_not_a_stack_then_deletes_nothing(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    env = {**os.environ, "DATA_DIR": str(tmp_path), "ENV_FILE": "/dev/null"}
    answer = subprocess.run(
        [sys.executable, "-m", "deploy.local", "clean"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 1
    assert "not deleting it" in answer.stderr
    assert (tmp_path / "thesis.txt").exists()


def test_spark_submit_when_standard_input_is_empty_then_hints_at_docker_exec_i(tmp_path):
    answer = subprocess.run(
        [ROOT / "bin" / "spark-submit", "-"],
        env={**os.environ, "PYTHON": sys.executable, "DATA_DIR": str(tmp_path), "ENV_FILE": "/dev/null"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 2
    assert "docker exec -i" in answer.stderr
