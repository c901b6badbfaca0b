"""On a Spark cluster whose workers have Java and Spark only, executors run the Python that pack-executors packed."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pyspark
import pytest

from orderflow import __main__ as command

pytestmark = pytest.mark.spark

ROOT = Path(__file__).resolve().parents[2]
JAVA_HOME = Path(os.environ.get("JAVA_HOME") or Path(shutil.which("java") or "/usr/bin/java").resolve().parents[1])
SPARK_HOME = Path(pyspark.__file__).parent
C_LIBRARY = ("ld-linux", "libc.", "libdl.", "libm.", "libpthread.", "libresolv.", "librt.", "libutil.")


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return int(server.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None
        with closing(socket.socket()) as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"nothing listens on {port}")


@pytest.fixture
def bare_cluster(tmp_path: Path) -> Iterator[str]:
    """A master and a worker that find no Python: neither on PATH nor in their Spark, which is its jars."""
    spark, programs = tmp_path / "spark", tmp_path / "programs"
    spark.mkdir()
    programs.mkdir()
    (spark / "jars").symlink_to(SPARK_HOME / "jars")
    for path in (*Path("/bin").iterdir(), *Path("/usr/bin").iterdir()):
        if not path.name.startswith(("python", "pypy")) and not (programs / path.name).is_symlink():
            (programs / path.name).symlink_to(path)
    env = {"JAVA_HOME": str(JAVA_HOME), "PATH": str(programs), "SPARK_HOME": str(spark), "SPARK_LOCAL_IP": "127.0.0.1"}
    env |= {"SPARK_SCALA_VERSION": "2.13"}  # as Spark's own start scripts say
    java = [str(JAVA_HOME / "bin" / "java"), "-Xmx256m", "-cp", f"{spark}/jars/*"]
    port = free_port()
    master = ["org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0"]
    url = f"spark://127.0.0.1:{port}"
    worker = ["org.apache.spark.deploy.worker.Worker", "--host", "127.0.0.1", "--webui-port", "0", "--cores", "2"]
    worker += ["--memory", "1g", "--work-dir", str(tmp_path / "work"), url]
    with ExitStack() as running:
        for name, arguments in (("master", master), ("worker", worker)):
            log = running.enter_context((tmp_path / f"{name}.log").open("wb"))
            process = subprocess.Popen([*java, *arguments], env=env, cwd=tmp_path, stdout=log, stderr=log)
            running.callback(process.wait, 30)
            running.callback(process.terminate)
            if name == "master":
                wait_for(port, process)
        yield url


def test_engine_and_storage_when_workers_have_no_python_then_run_in_the_packed_one(tmp_path: Path, bare_cluster: str) -> None:
    archive, result = tmp_path / "executors.tar.gz", tmp_path / "result"
    conf = tmp_path / "conf"
    conf.mkdir()
    result.mkdir()
    (conf / "spark-defaults.conf").write_text(
        "spark.executor.memory 480m\nspark.driver.memory 480m\nspark.ui.enabled false\nspark.driver.host 127.0.0.1\n"
        f"spark.local.dir {tmp_path}\nspark.sql.shuffle.partitions 2\n"
    )
    assert command.main(["pack-executors", "--out", str(archive)]) == 0
    environ = {"SPARK_MASTER_URL": bare_cluster, "EXECUTOR_PYTHON_ARCHIVE": str(archive), "ENV_FILE": os.devnull}
    env = {**os.environ, **environ, "SPARK_CONF_DIR": str(conf), "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_HOME": str(SPARK_HOME)}
    env |= {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PYTHONWARNINGS": "ignore", "PYSPARK_PYTHON": sys.executable}
    driver = [sys.executable, str(ROOT / "tests" / "spark" / "existing_cluster.py"), str(result)]
    ended = subprocess.run(driver, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stderr[-4000:]
    outcome = json.loads((result / "result.json").read_text())
    worker = outcome.pop("worker")
    assert worker["executable"].startswith("/python/bin/python3")
    assert (worker["on_path"], worker["environment"]) == (None, [])
    assert [name for name in worker["outside"] if not name.startswith(C_LIBRARY)] == []
    assert outcome["messages"] > 100
    assert outcome == {**outcome, "candles_equal": True, "stored": outcome["ticks"]}
