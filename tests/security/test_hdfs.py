"""The secure profile's HDFS, tried as an outsider and as each application."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from hdfs import Client
from hdfs.util import HdfsError

from deploy import kerberos
from orderflow.clusters import HdfsCluster
from orderflow.lake.catalogue import replicas
from orderflow.lake.layout import CANDLES, FOOTPRINT, TICKS
from orderflow.lake.maintenance import LakeFiles
from orderflow.lake.session import http_session
from orderflow.lake.webhdfs import web_hdfs
from tests.security.conftest import SecureStack

MARKER = b"a-price-that-nobody-should-see"
DAY = "2025-12-15"
READERS = {"processor", "tick-storage", "candle-storage", "plotter", "admin"}
STORAGES = {"tick-storage", "candle-storage", "admin"}
# Who may do what: write a file to the directory, list it, read what another user wrote there.
WRITES = {
    "/trading": {"admin"},
    TICKS.day(DAY): STORAGES,
    CANDLES.day(DAY): STORAGES,
    FOOTPRINT.day(DAY): STORAGES,
    "/trading/_staging": STORAGES,
    "/trading/checkpoints": STORAGES | {"processor"},
    "/trading/checkpoints/set-aside": STORAGES | {"processor"},
    "/trading/checkpoints/orderflow": {"processor", "admin"},
    "/": {"admin"},
}
LISTS = {directory: READERS for directory in ("/trading", TICKS.day(DAY), CANDLES.day(DAY), FOOTPRINT.day(DAY))} | {
    "/trading/_staging": STORAGES,
    "/trading/checkpoints": STORAGES | {"processor"},
}
# Of the realm, but without any right in HDFS.
STRANGER = "kdc"
USERS = (*sorted(READERS), STRANGER)


def client(stack: SecureStack, user: str) -> Client:
    hdfs = replace(stack.settings(user).hdfs, ca_file=stack.security_dir / "plotter" / "ca.pem")
    return Client(hdfs.http_url, session=http_session(hdfs), timeout=30)


def allowed(attempt: Callable[[], object]) -> bool:
    """Return whether HDFS lets it pass; any other refusal than that of a missing right is raised."""
    try:
        attempt()
    except HdfsError as error:
        if "Permission denied" not in str(error) and "is not authorized" not in str(error):
            raise
        return False
    return True


@pytest.fixture(scope="module")
def lake(secure_hdfs: SecureStack) -> SecureStack:
    """Give the stack with a day in each table, and a checkpoint, as the applications make them."""
    for user, table in (("tick-storage", TICKS), ("candle-storage", CANDLES), ("candle-storage", FOOTPRINT)):
        LakeFiles(secure_hdfs.settings(user).hdfs).add(table, DAY, "backfill", MARKER)
    client(secure_hdfs, "processor").makedirs("/trading/checkpoints/orderflow")
    return secure_hdfs


@pytest.mark.parametrize("user", USERS)
def test_user_when_it_tries_every_directory_then_it_writes_lists_and_reads_its_own_only(lake: SecureStack, user: str) -> None:
    files = client(lake, user)
    writes = {path for path in WRITES if allowed(lambda path=path: files.write(f"{path.rstrip('/')}/by-{user}", b"x"))}
    assert writes == {path for path, users in WRITES.items() if user in users}
    assert {path for path in LISTS if allowed(lambda path=path: files.list(path))} == {
        path for path, users in LISTS.items() if user in users
    }
    (stored,) = [name for name in client(lake, "admin").list(TICKS.day(DAY)) if name.startswith("backfill")]

    def read() -> None:
        with files.read(f"{TICKS.day(DAY)}/{stored}") as content:
            assert content.read() == MARKER

    assert allowed(read) == (user in READERS)
    if user not in WRITES["/trading/checkpoints/orderflow"]:
        assert not allowed(lambda: files.delete("/trading/checkpoints/orderflow", recursive=True))


def test_outsider_when_he_has_no_ticket_then_webhdfs_and_pages_refuse_him(lake: SecureStack) -> None:
    known = lake.settings("plotter").hdfs
    outsider = HdfsCluster(known.http_url, user="namenode", ca_file=known.ca_file)
    session = http_session(outsider)
    datanode = f"https://localhost:{lake.env['DATANODE1_HTTP_PORT']}"
    for url in (
        f"{known.http_url}/webhdfs/v1/?op=LISTSTATUS&user.name=namenode",
        f"{known.http_url}/explorer.html",
        f"{known.http_url}/jmx",
        f"{datanode}/jmx",
        f"{datanode}/webhdfs/v1/trading?op=OPEN&user.name=namenode&namenoderpcaddress=127.0.0.1:{lake.env['NAMENODE_PORT']}",
    ):
        assert session.get(url).status_code in (401, 403), url


def test_outsider_when_he_names_a_user_to_the_namenode_then_refused(lake: SecureStack) -> None:
    """Hadoop's own client, once with its login switched off and once without a keytab."""
    for login in ("hadoop.security.authentication=simple", "hadoop.security.authentication=kerberos"):
        env = {**lake.env, "SERVICE": "outsider", "HADOOP_USER_NAME": "namenode"}
        listing = subprocess.run(
            ["bin/hdfs", "dfs", "-D", login, "-ls", "/"], env=env, capture_output=True, text=True, timeout=120, check=False
        )
        assert listing.returncode == 1
        assert "SIMPLE authentication is not enabled" in listing.stderr or "Client cannot authenticate" in listing.stderr


def test_pages_when_reached_without_tls_or_by_who_trusts_another_authority_then_no_page(lake: SecureStack) -> None:
    known = lake.settings("plotter").hdfs
    page = http_session(known).get(f"{known.http_url}/explorer.html")
    assert (page.status_code, "Browsing HDFS" in page.text) == (200, True)
    with pytest.raises(requests.ConnectionError):
        http_session(known).get(f"{known.http_url.replace('https', 'http')}/explorer.html")
    with pytest.raises(requests.exceptions.SSLError):
        http_session(replace(known, ca_file=None)).get(f"{known.http_url}/explorer.html")


@pytest.mark.parametrize("weaker", ["hadoop.rpc.protection=authentication", "dfs.data.transfer.protection=authentication"])
def test_client_when_it_offers_no_encryption_then_refused(lake: SecureStack, weaker: str) -> None:
    (name,) = [name for name in client(lake, "admin").list(TICKS.day(DAY)) if name.startswith("backfill")]
    read = ["bin/hdfs", "dfs", "-D", "dfs.client.retry.window.base=1", "-cat", f"{TICKS.day(DAY)}/{name}"]
    assert lake.run(*read, service="plotter").stdout == MARKER.decode()
    answer = lake.run(*read[:2], "-D", weaker, *read[2:], service="plotter")
    assert (answer.returncode, MARKER.decode() in answer.stdout) == (1, False)
    assert "No common protection layer" in answer.stderr, answer.stderr


def test_file_when_stored_below_trading_then_clients_read_it_and_the_disks_have_it_encrypted(
    lake: SecureStack, tmp_path: Path
) -> None:
    (tmp_path / "prices").write_bytes(MARKER * 100)
    put = lake.run("bin/hdfs", "dfs", "-put", str(tmp_path / "prices"), "/trading/prices")
    assert (put.returncode, put.stderr) == (0, "")
    assert web_hdfs(lake.settings("plotter").hdfs).cat_file("/trading/prices") == MARKER * 100
    for datanode in ("datanode1", "datanode2"):
        blocks = [path for path in (lake.security_dir.parent / datanode).rglob("blk_*") if path.suffix != ".meta"]
        assert len(MARKER) * 100 in {path.stat().st_size for path in blocks}
        assert not any(MARKER in path.read_bytes() for path in blocks)


def test_commands_of_the_lake_when_secure_then_they_log_in(lake: SecureStack) -> None:
    state = replicas(lake.settings("plotter").hdfs)
    assert (state.live_data_nodes, state.missing_blocks) == (2, 0)
    checked = lake.run("bin/hdfs", "fsck", "/trading")
    assert "is HEALTHY" in checked.stdout, checked.stderr


def test_keys_when_made_then_only_their_owner_reads_them(lake: SecureStack) -> None:
    keytabs = list(lake.security_dir.glob("*/keytab"))
    assert len(keytabs) == len(kerberos.SERVICES)
    for path in (*keytabs, *(lake.security_dir / "kdc").iterdir(), lake.security_dir / "hdfs-key" / "keys.jceks"):
        assert path.stat().st_mode & 0o777 == 0o600, path


def test_audit_log_when_a_user_acts_then_it_says_who_with_which_login(lake: SecureStack) -> None:
    client(lake, "tick-storage").makedirs(f"{TICKS.directory}/unwanted")
    assert not allowed(lambda: client(lake, "plotter").delete(f"{TICKS.directory}/unwanted"))
    audit = (lake.security_dir.parent / "namenode" / "audit" / "hdfs-audit.log").read_text()
    lines = [line for line in audit.splitlines() if "src=/trading/ticks/unwanted\t" in line]
    assert any("allowed=true\tugi=tick-storage (auth:KERBEROS)" in line and "cmd=mkdirs" in line for line in lines)
    assert any("allowed=false\tugi=plotter (auth:KERBEROS)" in line and "cmd=delete" in line for line in lines)


def test_checkpoint_of_the_namenode_when_its_time_has_come_then_made_over_tls(lake: SecureStack) -> None:
    images = lake.security_dir.parent / "namenode" / "current"
    until = time.monotonic() + 90
    while len(list(images.glob("fsimage_*[0-9]"))) < 2:
        assert time.monotonic() < until, (lake.security_dir.parent / "namenode.log").read_text()[-3000:]
        time.sleep(1)


def test_keytab_when_renewed_then_the_old_one_no_longer_logs_in(lake: SecureStack, tmp_path: Path) -> None:
    hdfs = lake.settings("plotter").hdfs
    (tmp_path / "old").write_bytes((lake.security_dir / "plotter" / "keytab").read_bytes())
    assert kerberos.renew(lake.security_dir, "plotter") == ("plotter",)
    assert (lake.security_dir / "plotter" / "keytab").stat().st_mode & 0o777 == 0o600
    assert kinit(lake, "plotter", Path(str(hdfs.kerberos_keytab)))
    assert not kinit(lake, "plotter", tmp_path / "old")
    assert kerberos.renew(lake.security_dir, "datanode1") == ("datanode1", "datanode2")
    with contextlib.suppress(HdfsError):
        client(lake, "plotter").list("/trading")


def kinit(stack: SecureStack, user: str, keytab: Path) -> bool:
    """Return whether a keytab gets a ticket."""
    env = {"PATH": "/usr/bin:/bin", "KRB5_CONFIG": f"{stack.env['DATA_DIR']}/conf/krb5.conf"}
    command = ["kinit", "-c", "MEMORY:", "-k", "-t", str(keytab), user]
    return subprocess.run(command, env=env, capture_output=True, check=False).returncode == 0
