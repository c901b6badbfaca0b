""".env.example against orderflow/settings.py, and deploy/env.sh: one list of names, precedence, ports."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.local.stack import StackError, open_stack
from orderflow import settings

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = (ROOT / ".env.example").read_text()
NAMES = re.findall(r"^#?([A-Z][A-Z0-9_]+)=", EXAMPLE, re.MULTILINE)
BARE = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "ENV_FILE": "/dev/null", "DATA_DIR": "/nowhere"}


def test_env_example_names_each_setting_once():
    read = re.findall(r"read\.\w+\(\s*\"([A-Z_]+)\"", (ROOT / "orderflow" / "settings.py").read_text())
    assert sorted(set(read)) == sorted(NAMES)


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


def test_container_defaults_when_nothing_is_told_are_those_of_the_settings(tmp_path):
    env = open_stack({**BARE, "IN_CONTAINER": "yes"}).env
    told, default = settings.load(env, tmp_path / "none"), settings.load({}, tmp_path / "none")
    for name in ("kafka_brokers", "zookeeper_hosts", "namenode_url", "namenode_http_url", "spark_master_url", "dashboard_host"):
        assert getattr(told, name) == getattr(default, name)


def test_external_hdfs_when_named_in_env_file_then_a_container_uses_it(tmp_path):
    file = tmp_path / ".env"
    file.write_text("NAMENODE_URL=hdfs://trading\nKAFKA_BROKERS=b1:9092,b2:9092\n")
    env = open_stack({**BARE, "ENV_FILE": str(file), "IN_CONTAINER": "yes"}).env
    assert (env["NAMENODE_URL"], env["KAFKA_BROKERS"]) == ("hdfs://trading", "b1:9092,b2:9092")


def test_template_when_a_name_is_missing_then_says_which():
    answer = subprocess.run(
        [sys.executable, "deploy/render.py", "deploy/conf/zookeeper/zoo.cfg", "/nowhere/zoo.cfg"],
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
