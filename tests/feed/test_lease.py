"""One owner per instrument, on a real ZooKeeper (from pyspark's jars, on a port of its own)."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orderflow.clusters import ZooKeeperCluster
from orderflow.upstox.lease import InstrumentLeases

ROOT = Path(__file__).parents[2]
TCS, NIFTY = "NSE_EQ|INE467B01029", "NSE_INDEX|Nifty 50"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def zookeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if shutil.which("java") is None:
        pytest.skip("java is not on this machine")
    import pyspark

    home = tmp_path_factory.mktemp("zookeeper")
    port = free_port()
    (home / "zoo.cfg").write_text(
        f"tickTime=1000\ndataDir={home}/data\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n"
    )
    jars = Path(pyspark.__file__).parent / "jars"
    command = ["java", "-Xmx64m", "-cp", f"{jars}/*", "org.apache.zookeeper.server.quorum.QuorumPeerMain", str(home / "zoo.cfg")]
    with (home / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            deadline = time.monotonic() + 30
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    assert time.monotonic() < deadline, (home / "log").read_text()
                    time.sleep(0.1)
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()


def connected(zookeeper: str, owner: str) -> InstrumentLeases:
    leases = InstrumentLeases(ZooKeeperCluster(zookeeper), owner)
    assert leases.connect(10.0)
    return leases


def test_lease_when_another_holds_one_then_none_is_taken_and_the_holder_is_named(zookeeper: str) -> None:
    first, second = connected(zookeeper, "first"), connected(zookeeper, "second")
    assert first.acquire([TCS]) == {}
    taken = second.acquire([NIFTY, TCS])
    assert list(taken) == [TCS]
    assert taken[TCS].startswith("first (host ")
    assert first.acquire([NIFTY, TCS]) == {}
    first.close()
    assert second.acquire([NIFTY, TCS]) == {}
    second.close()


def test_lease_when_the_owner_dies_then_a_standby_has_it_within_ten_seconds(zookeeper: str) -> None:
    holding = (
        "import sys, time; from orderflow.clusters import ZooKeeperCluster; from orderflow.upstox.lease import InstrumentLeases; "
        "leases = InstrumentLeases(ZooKeeperCluster(sys.argv[1]), 'owner'); "
        "leases.connect(10); leases.acquire([sys.argv[2]]); print('held', flush=True); time.sleep(60)"
    )
    standby = connected(zookeeper, "standby")
    with subprocess.Popen([sys.executable, "-c", holding, zookeeper, TCS], stdout=subprocess.PIPE, cwd=ROOT) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"held\n"
        assert standby.acquire([TCS])
        owner.kill()
    began = time.monotonic()
    while standby.acquire([TCS]):
        assert time.monotonic() - began < 10.0
        time.sleep(0.2)
    standby.close()


def test_lease_when_zookeeper_is_away_then_connect_says_so_and_does_not_raise() -> None:
    leases = InstrumentLeases(ZooKeeperCluster(f"127.0.0.1:{free_port()}"), "nobody")
    assert not leases.connect(0.5)
    assert not leases.connect(0.5)
    leases.close()
