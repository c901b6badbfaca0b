"""What the dashboard says to browsers about its limits, which names it answers to, and where its page lies."""

from __future__ import annotations

import asyncio
import re
from collections.abc import MutableMapping
from typing import Any

import pytest

from orderflow.dashboard.sources.directory import Directory
from orderflow.dashboard.state.store import Store
from orderflow.dashboard.web.app import Parts, create_app
from orderflow.dashboard.web.guard import TrustedHosts
from tests.unit.test_dashboard_store import CLOSE_MS, KEY

Sent = list[MutableMapping[str, Any]]


def app(**more: Any) -> Any:
    return create_app(Parts(Store(lambda: CLOSE_MS), Directory((KEY,)), **more))


def ask(served: Any, path: str, host: str = "127.0.0.1:8050", **headers: str) -> tuple[int, dict[str, str], str]:
    """Send one GET to an ASGI application; return status, headers and body."""
    sent: Sent = []
    named = {"host": host, **headers}
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "scheme": "http",
        "http_version": "1.1",
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        "server": ("127.0.0.1", 8050),
        "client": ("127.0.0.1", 5),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(served(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]).decode("latin-1")


def socket(served: Any, host: str, origin: str) -> str:
    """Ask for the viewers' socket; return the type of the first answer."""
    sent: Sent = []
    scope = {
        "type": "websocket",
        "path": "/ws",
        "raw_path": b"/ws",
        "query_string": b"",
        "root_path": "",
        "scheme": "ws",
        "headers": [(b"host", host.encode()), (b"origin", origin.encode())],
        "subprotocols": [],
    }
    coming = iter([{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}])

    async def receive() -> dict[str, Any]:
        return next(coming)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(served(scope, receive, send))
    return str(sent[0]["type"])


def test_page_when_served_forbids_frames_foreign_scripts_and_guessing_of_types() -> None:
    status, headers, body = ask(app(), "/")
    assert status == 200
    assert "<html" in body
    policy = headers["content-security-policy"].split("; ")
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'self'" in policy
    scripts = next(rule for rule in policy if rule.startswith("script-src"))
    assert re.fullmatch(r"script-src 'self'( 'sha256-[\w+/=]+')+", scripts)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert "form-action 'self'" in policy


@pytest.mark.parametrize(
    ("host", "trusted"),
    [
        ("127.0.0.1:8050", True),
        ("[::1]:8050", True),
        ("192.168.1.7", True),
        ("localhost:8050", True),
        ("plotter:8050", True),
        ("desk.local", True),
        ("charts.example.com", True),
        ("CHARTS.example.com:443", True),
        ("evil.example.org", False),
        ("evil.example.com", False),
        ("127.0.0.1.evil.com", False),
        ("", False),
    ],
)
def test_host_when_it_is_a_name_of_the_internet_is_trusted_only_if_listed(host: str, trusted: bool) -> None:
    assert TrustedHosts(["charts.example.com"]).trusts(host) is trusted


def test_request_when_its_host_is_rebound_is_refused_on_every_path() -> None:
    served = app()
    for path in ("/", "/api/instruments", "/healthz"):
        status, _, body = ask(served, path, host="evil.example.com")
        assert (status, "DASHBOARD_TRUSTED_HOSTS" in body) == (421, True)
    assert ask(served, "/api/instruments")[0] == 200
    assert ask(app(trusted_hosts=["*"]), "/api/instruments", host="evil.example.com")[0] == 200


@pytest.mark.parametrize(
    ("host", "origin", "first"),
    [
        ("localhost:8050", "http://localhost:8050", "websocket.accept"),
        ("localhost:8050", "http://evil.example.com", "websocket.close"),
        ("evil.example.com", "http://evil.example.com", "websocket.close"),
        ("upstream:8050", "https://charts.example.com", "websocket.accept"),
        ("upstream:8050", "null", "websocket.close"),
    ],
)
def test_socket_when_asked_for_by_a_page_of_another_site_is_refused(host: str, origin: str, first: str) -> None:
    assert socket(app(trusted_hosts=["charts.example.com"]), host, origin) == first


def test_page_when_under_a_prefix_names_its_files_below_it_and_answers_with_and_without_it() -> None:
    served = app(prefix="/desk/flow/")
    _, _, html = ask(served, "/")
    addresses = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert addresses
    assert [address for address in addresses if not address.startswith("/desk/flow/")] == []
    module = next(address for address in addresses if address.endswith("/main.js"))
    for path in (module, module.removeprefix("/desk/flow")):
        status, headers, _ = ask(served, path)
        assert (status, headers["content-type"].partition(";")[0]) == (200, "text/javascript")
        assert headers["cache-control"] == "public, max-age=31536000, immutable"
    assert ask(served, "/desk/flow/healthz")[0] == ask(served, "/healthz")[0] == 200


def test_page_file_when_unknown_is_not_found_and_of_another_version_is_not_kept() -> None:
    served = app()
    assert ask(served, "/page/0/../app.py")[0] == 404
    assert ask(served, "/page/0/main.js")[1]["cache-control"] == "no-store"
