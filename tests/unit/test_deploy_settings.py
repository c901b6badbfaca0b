""".env.example against orderflow/settings.py, and deploy/env.sh: one list of names, precedence, ports."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.local.stack import StackError, open_stack
from docs import reference
from orderflow import settings

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = (ROOT / ".env.example").read_text()
NAMES = re.findall(r"^#?([A-Z][A-Z0-9_]+)=", EXAMPLE, re.MULTILINE)
BARE = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "ENV_FILE": "/dev/null", "DATA_DIR": "/nowhere"}


def test_env_example_names_each_setting_once():
    assert sorted(reference.valid_values()) == sorted(NAMES)


def test_env_example_shows_the_defaults_when_every_line_is_taken(tmp_path):
    everything = tmp_path / "all.env"
    everything.write_text(re.sub(r"^#([A-Z][A-Z0-9_]+=)", r"\1", EXAMPLE, flags=re.MULTILINE))
    nothing = tmp_path / "none.env"
    secret = Path("/run/secrets/upstox_access_token")
    assert settings.load({}, everything) == replace(settings.load({}, nothing), access_token_file=secret)


def test_env_example_keeps_the_promised_default_instrument():
    assert "\nINSTRUMENT=NSE_EQ|INE467B01029\n" in EXAMPLE


def test_ports_move_together_when_an_offset_is_given():
    plain, moved = open_stack(BARE).env, open_stack({**BARE, "PORT_OFFSET": "1000"}).env
    ports = [name for name in plain if name.endswith("_PORT")]
    assert len(ports) >= 20
    assert all(int(moved[name]) == int(plain[name]) + 1000 for name in ports)
    assert len({plain[name] for name in ports}) == len(ports)
    assert moved["KAFKA_BROKERS"] == "127.0.0.1:30092"
    assert moved["NAMENODE_URL"] == "hdfs://127.0.0.1:10000"


@pytest.mark.parametrize("offset", ["15001", "-1", "many"])
def test_open_stack_when_the_offset_leaves_the_range_of_ports_then_refuses(offset):
    with pytest.raises(StackError, match="PORT_OFFSET"):
        open_stack({**BARE, "PORT_OFFSET": offset})


def test_open_stack_when_the_directory_remembers_its_offset_then_uses_it(tmp_path):
    (tmp_path / "port-offset").write_text("2000\n")
    assert open_stack({**BARE, "DATA_DIR": str(tmp_path)}).env["DASHBOARD_PORT"] == "10050"


def test_env_file_when_a_value_has_a_bar_and_a_space_then_it_arrives_whole(tmp_path):
    file = tmp_path / ".env"
    file.write_text("INSTRUMENT=NSE_INDEX|Nifty 50,NSE_EQ|INE467B01029\nWINDOW_MINUTES=5\nUPSTOX_ACCESS_TOKEN='a$b'\n")
    env = open_stack({**BARE, "ENV_FILE": str(file), "WINDOW_MINUTES": "15"}).env
    assert env["INSTRUMENT"] == "NSE_INDEX|Nifty 50,NSE_EQ|INE467B01029"
    assert env["UPSTOX_ACCESS_TOKEN"] == "a$b"
    assert env["WINDOW_MINUTES"] == "15"


def test_env_file_when_it_names_the_containers_then_a_local_stack_ignores_that(tmp_path):
    file = tmp_path / ".env"
    file.write_text("KAFKA_BROKERS=kafka:29092\nNAMENODE_URL=hdfs://namenode:9000\n")
    local = open_stack({**BARE, "ENV_FILE": str(file)}).env
    assert (local["KAFKA_BROKERS"], local["NAMENODE_URL"]) == ("127.0.0.1:29092", "hdfs://127.0.0.1:9000")
    container = open_stack({**BARE, "ENV_FILE": str(file), "IN_CONTAINER": "yes"}).env
    assert (container["KAFKA_BROKERS"], container["NAMENODE_URL"]) == ("kafka:29092", "hdfs://namenode:9000")


def test_container_defaults_when_nothing_is_set_are_those_of_the_settings(tmp_path):
    env = open_stack({**BARE, "IN_CONTAINER": "yes"}).env
    in_container, default = settings.load(env, tmp_path / "none"), settings.load({}, tmp_path / "none")
    for name in ("kafka", "zookeeper", "namenode_url", "hdfs", "spark", "dashboard_host"):
        assert getattr(in_container, name) == getattr(default, name)


def test_external_hdfs_when_named_in_env_file_then_a_container_uses_it(tmp_path):
    file = tmp_path / ".env"
    file.write_text("NAMENODE_URL=hdfs://trading\nKAFKA_BROKERS=b1:9092,b2:9092\n")
    env = open_stack({**BARE, "ENV_FILE": str(file), "IN_CONTAINER": "yes"}).env
    assert (env["NAMENODE_URL"], env["KAFKA_BROKERS"]) == ("hdfs://trading", "b1:9092,b2:9092")


def launched(launcher: str, tmp_path: Path, **env: str) -> subprocess.Popen[str]:
    """Start a launcher that ends in a stand-in for Spark and Python, which prints what it was given and stays."""
    stand_in = tmp_path / "bin" / "spark-class"
    if not stand_in.exists():
        stand_in.parent.mkdir()
        stand_in.write_text('#!/bin/bash\necho "$SPARK_LOCAL_DIRS" "${SIM_INSTRUMENTS:-}" "$@"\nread -r\n')
        stand_in.chmod(0o755)
    environ = {**BARE, "DATA_DIR": str(tmp_path / "data"), "CONF_DIR": str(tmp_path / "conf"), "IN_CONTAINER": "yes"}
    environ |= {"SPARK_HOME": str(tmp_path), "PYTHON": sys.executable, "JAVA_HOME": "/nowhere", **env}
    command = [ROOT / "deploy" / "launch" / launcher]
    return subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_workers_when_two_share_a_volume_then_each_has_a_directory_until_it_ends(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as master:
        url = f"spark://127.0.0.1:{master.getsockname()[1]}"
        shown = []
        with launched("spark-worker", tmp_path, SPARK_MASTER_URL=url) as first:
            shown.append(first.stdout.readline())
            with launched("spark-worker", tmp_path, SPARK_MASTER_URL=url) as second:
                shown.append(second.stdout.readline())
        with launched("spark-worker", tmp_path, SPARK_MASTER_URL=url) as again:
            shown.append(again.stdout.readline())
    volume = tmp_path / "data" / "spark-worker"
    assert [line.split()[0] for line in shown] == [f"{volume}/{number}/local" for number in (1, 2, 1)]
    assert [line.split()[-2] for line in shown] == [f"{volume}/{number}/work" for number in (1, 2, 1)]


@pytest.mark.parametrize(
    ("instrument", "traded"),
    [
        ("NSE_EQ|INE669E01016, NSE_INDEX|Nifty 50", "+NSE_EQ|INE669E01016, NSE_INDEX|Nifty 50"),
        ("TCS,NSE_EQ|INE669E01016", "+NSE_EQ|INE669E01016"),
        ("TCS,NIFTY 50", ""),
    ],
)
def test_simulator_when_instruments_are_wanted_then_it_trades_their_keys_on_top_of_its_own(tmp_path, instrument, traded):
    shown = tmp_path / "python"
    shown.write_text(f'#!/bin/bash\n[[ $2 == orderflow.simulator ]] || exec {sys.executable} "$@"\necho "<$SIM_INSTRUMENTS>"\n')
    shown.chmod(0o755)
    with launched("simulator", tmp_path, INSTRUMENT=instrument, PYTHON=str(shown)) as simulator:
        assert simulator.stdout.read() == f"<{traded}>\n"


@pytest.mark.parametrize(("server", "read"), [("namenode", "http://elsewhere:9870 3"), ("kafka", "elsewhere:9092")])
def test_health_check_when_env_file_names_a_cluster_of_ones_own_then_looks_there(tmp_path, server, read):
    file, shown = tmp_path / ".env", tmp_path / "python"
    file.write_text("NAMENODE_HTTP_URL=http://elsewhere:9870\nEXPECTED_DATANODES=3\nKAFKA_BROKERS=elsewhere:9092\n")
    shown.write_text(f'#!/bin/bash\n[[ $1 == */probe.py ]] || exec {sys.executable} "$@"\necho "${{@:3}}"\n')
    shown.chmod(0o755)
    answer = subprocess.run(
        [ROOT / "deploy" / "health" / server],
        env={**BARE, "ENV_FILE": str(file), "IN_CONTAINER": "yes", "PYTHON": str(shown)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == read


@pytest.mark.parametrize(
    ("line", "read"), [("UPSTOX_ACCESS_TOKEN=abc\n#KAFKA_BROKERS=x:1", False), ("  KAFKA_BROKERS = x:1", True)]
)
def test_health_check_when_env_file_names_no_address_then_it_is_not_read(tmp_path, line, read):
    file, shown, calls = tmp_path / ".env", tmp_path / "python", tmp_path / "calls"
    file.write_text(f"{line}\n")
    shown.write_text(f'#!/bin/bash\necho "$1" >>{calls}\n[[ $1 == */probe.py ]] || exec {sys.executable} "$@"\n')
    shown.chmod(0o755)
    environ = {
        **BARE,
        "ENV_FILE": str(file),
        "IN_CONTAINER": "yes",
        "KAFKA_HOST": "127.0.0.1",
        "KAFKA_PORT": "1",
        "PYTHON": str(shown),
    }
    subprocess.run([ROOT / "deploy" / "health" / "kafka"], env=environ, check=True)
    assert [Path(call).name for call in calls.read_text().split()] == [*(["dotenv_exports.py"] if read else []), "probe.py"]


def test_template_when_a_name_is_missing_then_says_which():
    answer = subprocess.run(
        [sys.executable, "deploy/render.py", "/nowhere/zoo.cfg", "deploy/conf/zookeeper/zoo.cfg"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert "the environment lacks 'DATA_DIR'" in answer.stderr


def test_deployment_page_lists_variables_that_env_sh_reads_with_their_defaults():
    script = (ROOT / "deploy" / "env.sh").read_text()
    sizes = (ROOT / "docs" / "DEPLOYMENT.md").read_text().split("## Sizes")[1].split("\n## ")[0]
    rows = [line.split("|")[1:3] for line in sizes.splitlines() if line.startswith("| `")]
    assert len(rows) >= 8
    for names, defaults in rows:
        variables = re.findall(r"`([A-Z_]+)`", names)
        assert all(f"${{{variable}:-" in script for variable in variables), variables
        values = [value.strip() for value in defaults.split(",")]
        if len(values) == len(variables) and re.fullmatch(r"\d+m?g?", values[0]):
            for variable, value in zip(variables, values, strict=True):
                assert f"${{{variable}:-{value}}}" in script, f"{variable} is not {value}"


def test_deployment_page_lists_every_port():
    ports = (ROOT / "docs" / "DEPLOYMENT.md").read_text().split("## Ports")[1].split("\n## ")[0]
    shown = set(re.findall(r"\b\d{4,5}\b", ports)) | {"9102", "9103"}
    assert {value for name, value in open_stack(BARE).env.items() if name.endswith("_PORT")} <= shown


@pytest.mark.parametrize("name", ["python", "python3"])
def test_python_when_called_as_messages_and_documentation_do_then_is_the_stacks_own(tmp_path, name):
    shown = tmp_path / "python"
    shown.write_text(f'#!/bin/bash\n[[ $1 == -m ]] || exec {sys.executable} "$@"\necho "$PYTHONPATH $*"\n')
    shown.chmod(0o755)
    environ = {**BARE, "DATA_DIR": str(tmp_path / "data"), "PYTHON": str(shown), "SPARK_HOME": str(tmp_path)}
    answer = subprocess.run(
        [ROOT / "bin" / name, "-m", "orderflow", "lake"], env=environ, capture_output=True, text=True, check=True
    )
    assert answer.stdout == f"{ROOT} -m orderflow lake\n"
