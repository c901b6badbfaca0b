"""The tutorial's commands on the local stack: what is documented is what runs.

The simulated market trades meanwhile; test_3_market_model.py looks at what it traded.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from conftest import PORT_OFFSET, ROOT, LocalStack  # type: ignore[import-not-found]

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("market_began_ms")]

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
COMMANDS = re.findall(r"^docker exec (?:-i )?[a-z-]+ (.+)$", TUTORIAL, flags=re.MULTILINE)
EXPECTED = {
    "kafka-topics.sh": "upstox_orderflow",
    "kafka-console-consumer.sh": '"total_volume"',
    "hdfs dfs -ls": "/trading/candles",
    "hdfs dfsadmin -report": "Live datanodes (2)",
    "hdfs dfsadmin -printTopology": "Rack:",
    "curl": "orderflow",
    "python3": "instrument_key",
    "spark-submit": "",
}


def local(text: str) -> str:
    """Rewrite the names inside the containers' network to this stack's addresses."""
    text = text.replace("kafka:29092", f"127.0.0.1:{29092 + PORT_OFFSET}")
    text = text.replace("hdfs://namenode:9000", f"hdfs://127.0.0.1:{9000 + PORT_OFFSET}")
    return text.replace("http://localhost:8080", f"http://localhost:{8080 + PORT_OFFSET}")


def stored_date(stack: LocalStack) -> str:
    listed = stack.tool("hdfs", "dfs", "-ls", "/trading/ticks")
    return sorted(re.findall(r"date=(\d{4}-\d{2}-\d{2})", listed))[-1]


def test_tutorial_when_read_then_it_shows_every_promised_command() -> None:
    assert len(COMMANDS) == 8
    assert {name for name in EXPECTED if any(command.startswith(name) for command in COMMANDS)} == set(EXPECTED)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_of_the_tutorial_when_run_on_the_local_stack_then_it_answers(
    local_stack: LocalStack, tmp_path: Path, command: str
) -> None:
    block = re.search(r"```python\n# script.py\n(.+?)```", TUTORIAL, flags=re.DOTALL)
    assert block is not None
    (tmp_path / "script.py").write_text(local(block[1]).replace("2025-11-29", stored_date(local_stack)))
    answer = subprocess.run(
        ["bash", "-o", "pipefail", "-c", local(command)],
        cwd=tmp_path,
        env={**local_stack.env, "PATH": f"{ROOT / 'bin'}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert answer.returncode in ((0, 141) if "| head" in command else (0,)), answer.stderr[-2000:]
    (expected,) = [text for name, text in EXPECTED.items() if command.startswith(name)]
    assert expected in answer.stdout
    if command.startswith("spark-submit"):
        written = local_stack.tool("hdfs", "dfs", "-cat", "/trading/export/candles/*.csv")
        assert written.startswith("window_start,window_end,instrument,open,high,low,close")


def test_spark_submit_when_standard_input_is_empty_then_it_says_what_to_do(local_stack: LocalStack) -> None:
    answer = subprocess.run(
        [str(ROOT / "bin" / "spark-submit"), "-"],
        env=local_stack.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert answer.returncode != 0
    assert "script" in answer.stderr
