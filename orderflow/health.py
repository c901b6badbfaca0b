"""A small HTTP server on a thread of its own: `/healthz` (JSON, 200 or 503) and `/metrics` (Prometheus text)."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from orderflow.logs import masked
from orderflow.market.errors import OrderflowError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Health:
    """An application's report about itself: healthy or not, a state in a word or two, and figures."""

    healthy: bool
    state: str
    detail: Mapping[str, object] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """Encode as the body of `/healthz`, secrets masked."""
        body = {"healthy": self.healthy, "state": self.state, **self.detail}
        return masked(json.dumps(body, default=str)).encode()


class HealthServer:
    """Serve `check()` on `/healthz` and the metrics registry on `/metrics` until closed; port 0 takes a free one.

    Raises OrderflowError when the port is in use. A check that raises is answered with 503 and its type.
    """

    def __init__(self, host: str, port: int, check: Callable[[], Health], registry: CollectorRegistry = REGISTRY) -> None:
        try:
            self._server = _Server((host, port), _handler(check, registry))
        except OSError as error:
            raise OrderflowError(
                f"cannot serve health on {host}:{port} ({error.strerror}); free the port or set HEALTH_PORT to another one"
            ) from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="health", daemon=True)
        self._thread.start()
        log.info("health on http://%s:%d/healthz, metrics on /metrics", host, self.port)

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True


def _handler(check: Callable[[], Health], registry: CollectorRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/healthz":
                try:
                    health = check()
                except Exception as error:  # noqa: BLE001 whatever the check meets is itself the answer
                    health = Health(False, "check failed", {"error": f"{type(error).__name__}: {error}"})
                self._answer(200 if health.healthy else 503, "application/json", health.to_json())
            elif path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
            else:
                self._answer(404, "text/plain; charset=utf-8", b"only /healthz and /metrics are served here\n")

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            log.debug(format, *args)

    return Handler
