"""What the secure profile does for HDFS: /trading is encrypted on the DataNodes' disks, and who did what is kept."""

from __future__ import annotations

from pathlib import Path

from orderflow.lake.layout import TICKS
from orderflow.lake.maintenance import LakeFiles
from orderflow.lake.webhdfs import web_hdfs
from tests.security.conftest import SecureStack

MARKER = b"a-price-that-nobody-should-see"


def test_file_when_stored_below_trading_then_clients_read_it_and_the_disk_has_it_encrypted(
    secure_stack: SecureStack, tmp_path: Path
) -> None:
    (tmp_path / "prices").write_bytes(MARKER * 100)
    put = secure_stack.run("bin/hdfs", "dfs", "-put", str(tmp_path / "prices"), "/trading/prices")
    assert (put.returncode, put.stderr) == (0, "")
    hdfs = secure_stack.settings("plotter").hdfs
    name = LakeFiles(hdfs).add(TICKS, "2025-12-15", "backfill", MARKER * 50)
    files = web_hdfs(hdfs)
    assert files.cat_file("/trading/prices") == MARKER * 100
    assert files.cat_file(f"{TICKS.day('2025-12-15')}/{name}") == MARKER * 50
    blocks = [path for path in (secure_stack.security_dir.parent / "datanode1").rglob("blk_*") if path.suffix != ".meta"]
    assert sorted(path.stat().st_size for path in blocks) == [len(MARKER) * 50, len(MARKER) * 100]
    assert not any(MARKER in path.read_bytes() for path in blocks)


def test_key_when_made_then_only_its_owner_reads_it(secure_stack: SecureStack) -> None:
    key = secure_stack.security_dir / "hdfs-key" / "keys.jceks"
    assert key.stat().st_mode & 0o777 == 0o600


def test_audit_log_when_a_file_is_deleted_then_it_says_who_did_it(secure_stack: SecureStack) -> None:
    assert secure_stack.run("bin/hdfs", "dfs", "-mkdir", "/trading/unwanted").returncode == 0
    assert secure_stack.run("bin/hdfs", "dfs", "-rm", "-r", "-skipTrash", "/trading/unwanted").returncode == 0
    audit = (secure_stack.security_dir.parent / "namenode" / "audit" / "hdfs-audit.log").read_text()
    (line,) = [line for line in audit.splitlines() if "cmd=delete\tsrc=/trading/unwanted\t" in line]
    assert "allowed=true\tugi=" in line
