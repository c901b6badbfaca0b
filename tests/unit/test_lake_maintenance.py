"""What is asked of HDFS when files are stored over HTTP."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from orderflow.lake.layout import TICKS
from orderflow.lake.maintenance import LakeFiles
from orderflow.settings import load


class NameNode(ThreadingHTTPServer):
    """Accept every file and keep the replication that was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replications: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: NameNode
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if self.headers.get("Transfer-Encoding") == "chunked":
            while int(self.rfile.readline(), 16):
                self.rfile.readline()
            self.rfile.readline()
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        creates = query["op"] == ["CREATE"] and "data" not in query
        if creates:
            self.server.replications += query["replication"]
        self.send_response(307 if creates else 200)
        if creates:
            self.send_header("Location", f"{self.server.url}{self.path}&data=1")
        body = b'{"boolean": true}'
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


def test_files_when_stored_over_http_then_with_the_replication_of_the_settings() -> None:
    with NameNode() as namenode:
        threading.Thread(target=namenode.serve_forever, daemon=True).start()
        settings = load({"NAMENODE_HTTP_URL": namenode.url, "HDFS_REPLICATION": "3", "ENV_FILE": "/dev/null"})
        LakeFiles(settings.hdfs).add(TICKS, "2025-12-15", "import", b"PAR1")
        LakeFiles(settings.hdfs).write_text("_catalogue.json", "{}")
        namenode.shutdown()
    assert namenode.replications == ["3", "3"]
