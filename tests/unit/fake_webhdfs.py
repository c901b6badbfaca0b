"""A NameNode's and a DataNode's HTTP interface over a local directory: LISTSTATUS, GETFILESTATUS and ranged OPEN by redirect."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit


class FakeWebHdfs(ThreadingHTTPServer):
    """Serve `root` on a free port of the loopback interface; `requests` lists operation and path in order."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.requests: list[tuple[str, str]] = []
        self.data_node_failures = 0
        self.state = {"NumLiveDataNodes": 2, "UnderReplicatedBlocks": 3, "MissingBlocks": 0, "CorruptBlocks": 0}
        self.state["CapacityRemaining"] = 5_000_000_000

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: FakeWebHdfs
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name.lower(): values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/jmx":
            self._answer(200, json.dumps({"beans": [self.server.state]}).encode())
            return
        path = unquote(parts.path).removeprefix("/webhdfs/v1").removeprefix("/data")
        operation = query["op"].upper()
        local = self.server.root / path.lstrip("/")
        self.server.requests.append((operation if not parts.path.startswith("/data") else "DATA", path))
        if not local.exists():
            error = {"RemoteException": {"exception": "FileNotFoundException", "message": f"{path} is absent"}}
            self._answer(404, json.dumps(error).encode())
        elif operation == "OPEN" and parts.path.startswith("/webhdfs"):
            self._answer(307, b"", {"Location": f"{self.server.url}/data{path}?{parts.query}"})
        elif operation == "OPEN":
            if self.server.data_node_failures > 0:
                self.server.data_node_failures -= 1
                self._answer(500, b"no such block")
                return
            start = int(query.get("offset", "0"))
            self._answer(200, local.read_bytes()[start : start + int(query["length"])])
        elif operation == "LISTSTATUS":
            statuses = [_status(entry, entry.name) for entry in sorted(local.iterdir())]
            self._answer(200, json.dumps({"FileStatuses": {"FileStatus": statuses}}).encode())
        else:
            self._answer(200, json.dumps({"FileStatus": _status(local, "")}).encode())

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


def _status(entry: Path, name: str) -> dict[str, object]:
    kind = "DIRECTORY" if entry.is_dir() else "FILE"
    size = entry.stat().st_size if entry.is_file() else 0
    changed_ms = round(entry.stat().st_mtime * 1000)
    return {"pathSuffix": name, "type": kind, "length": size, "modificationTime": changed_ms, "replication": 2, "owner": "o"}
