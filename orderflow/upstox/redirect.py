"""The local port to which a login's browser is sent back."""

from __future__ import annotations

import errno
import html
import ipaddress
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import urlsplit

from orderflow.market.errors import OrderflowError, SettingsError

_POLL_SECONDS: Final = 0.05
_PAGE: Final = "<!doctype html><meta charset=utf-8><title>orderflow</title><h1>{title}</h1><p>{text}"


class LoginError(OrderflowError):
    """The login did not end with a token; the text says why, and what to do. The token file is unchanged."""


class ForeignAnswerError(LoginError):
    """An answer that is not this login's: at another address, or with another login's state. The login continues."""


class RedirectListener:
    """Listens at a redirect address on loopback; a context manager.

    Raises SettingsError when the address is not on this machine or its port is in use.
    """

    def __init__(self, redirect_uri: str) -> None:
        host, port = _loopback(redirect_uri)
        self._path = urlsplit(redirect_uri).path or "/"
        self._read: Callable[[str], str] | None = None
        self._code: str | None = None
        self._refused: LoginError | None = None
        self._ended = threading.Event()
        try:
            self._server = ThreadingHTTPServer((host, port), self._handler())
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise SettingsError(
                    f"port {port} of UPSTOX_REDIRECT_URI={redirect_uri} is in use, perhaps by another login: end that process, "
                    "or set another port here and in the app on Upstox's developer page, or use --paste"
                ) from error
            raise SettingsError(f"UPSTOX_REDIRECT_URI={redirect_uri} cannot be bound: {error.strerror or error}") from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="login-redirect", daemon=True
        )

    def __enter__(self) -> RedirectListener:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        """Return the port in use."""
        return int(self._server.server_address[1])

    def received(self, read: Callable[[str], str], wait_seconds: float) -> str:
        """Return what `read` makes of the first answer that is this login's.

        The browser shows what `read` raises. After ForeignAnswerError the wait continues, since anybody can call a local port;
        any other LoginError is raised, and so is one when the time is up.
        """
        self._read = read
        self._thread.start()
        self._ended.wait(wait_seconds)
        if self._code is not None:
            return self._code
        raise self._refused or LoginError(
            f"nothing came from Upstox within {wait_seconds:.0f} s; nothing has changed. Run the command again to retry, "
            "with --paste if the browser is on another machine"
        )

    def _take(self, target: str) -> tuple[HTTPStatus, str, str]:
        """Return status, title and text for a request."""
        if urlsplit(target).path != self._path or self._read is None:
            return HTTPStatus.NOT_FOUND, "Nothing here", "This port waits for the answer to a login at Upstox."
        try:
            self._code = self._read(target)
        except LoginError as error:
            self._refused = error
            if not isinstance(error, ForeignAnswerError):
                self._ended.set()
            return HTTPStatus.BAD_REQUEST, "No login", str(error)
        self._ended.set()
        return HTTPStatus.OK, "Received", "orderflow has received Upstox's answer; see the terminal for the result."

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        take = self._take

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                status, title, text = take(self.path)
                body = _PAGE.format(title=html.escape(title), text=html.escape(text)).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Referrer-Policy", "no-referrer")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Log nothing: the path carries the code."""

        return Handler


def _loopback(redirect_uri: str) -> tuple[str, int]:
    parts = urlsplit(redirect_uri)
    host = parts.hostname or ""
    try:
        is_here = host == "localhost" or ipaddress.ip_address(host).is_loopback
        port = 80 if parts.port is None else parts.port
    except ValueError:
        is_here, port = False, 0
    if parts.scheme != "http" or not is_here:
        raise SettingsError(
            f"UPSTOX_REDIRECT_URI={redirect_uri} is not http:// on this machine, where the answer could be received: "
            "use --paste, or give the app a redirect address such as http://127.0.0.1:8766/"
        )
    return ("127.0.0.1" if host == "localhost" else host), port
