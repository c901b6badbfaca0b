"""Tokens, back-off and what the end of a connection means."""

from __future__ import annotations

import base64
import json
import socket
import ssl
from pathlib import Path

import pytest
import websocket
from hypothesis import given
from hypothesis import strategies as st

from orderflow.clusters import ZooKeeperCluster
from orderflow.market.errors import SettingsError
from orderflow.upstox.client import checked_url, tls_options
from orderflow.upstox.lease import InstrumentLeases
from orderflow.upstox.retry import Backoff, judged
from orderflow.upstox.token import Token, TokenSource, expiry_ms


def jwt(claims: dict[str, object]) -> str:
    def part(content: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    return f"{part({'alg': 'HS256'})}.{part(claims)}.c2lnbmF0dXJl"


def test_backoff_when_failures_go_on_then_doubles_to_the_cap_and_steady_starts_over() -> None:
    backoff = Backoff(lambda: 0.0)
    assert [backoff.next_delay() for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    backoff.steady()
    assert backoff.next_delay() == 0.5


@given(st.lists(st.floats(0, 0.999), min_size=1, max_size=50), st.floats(0, 600))
def test_backoff_when_jittered_then_between_half_and_whole_and_never_below_what_is_asked(
    jitter: list[float], least: float
) -> None:
    numbers = iter(jitter)
    backoff = Backoff(lambda: next(numbers))
    for failure in range(len(jitter)):
        whole = min(30.0, 0.5 * 2**failure)
        delay = backoff.next_delay(least)
        assert least <= delay <= max(whole, least)
        if least == 0:
            assert delay >= whole / 2


def test_token_when_shown_then_its_value_is_not() -> None:
    assert "secret" not in repr(Token("secret-value", 5))
    assert "secret" not in str(Token("secret-value", 5))


def test_expiry_when_token_is_a_jwt_then_its_exp_else_unknown() -> None:
    assert expiry_ms(jwt({"exp": 1_790_000_000})) == 1_790_000_000_000
    assert [expiry_ms(text) for text in ("opaque", "a.b.c", jwt({}), jwt({"exp": "soon"}))] == [None] * 4
    assert Token("x", 1000).is_expired(1000)
    assert not Token("x", None).is_expired(10**15)


def test_token_source_when_the_file_changes_then_the_new_token_else_secret_else_setting(tmp_path: Path) -> None:
    file, secret = tmp_path / "token", tmp_path / "secret"
    source = TokenSource("from-setting", file, secret)
    seen = [source.current()]
    secret.write_text("from-secret\n")
    seen.append(source.current())
    file.write_text("  from-file\n")
    seen.append(source.current())
    file.write_text("rotated\n")
    seen.append(source.current())
    file.write_text("\n")
    seen.append(source.current())
    assert [token.value for token in seen if token] == ["from-setting", "from-secret", "from-file", "rotated", "from-secret"]
    assert TokenSource(None, None, tmp_path / "none").current() is None


@pytest.mark.parametrize(
    "pasted",
    ["abc.DEF-1", "Bearer abc.DEF-1", "bearer  Bearer abc.DEF-1\n", "\ufeffabc.DEF-1", '"abc.DEF-1"', "Bearer 'abc.DEF-1' "],
)
def test_token_when_pasted_with_what_does_not_belong_to_it_then_sent_without(pasted: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(pasted, encoding="utf-8")
    for source in (TokenSource(pasted, None, tmp_path / "none"), TokenSource(None, file, tmp_path / "none")):
        token = source.current()
        assert token is not None
        assert token.value == "abc.DEF-1"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_token_when_its_file_was_written_by_powershell_then_read(encoding: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("abc.DEF-1\r\n", encoding=encoding)
    token = TokenSource(None, file, tmp_path / "none").current()
    assert token is not None
    assert token.value == "abc.DEF-1"


@pytest.mark.parametrize("content", [b"\xff\x00\x80", b"two words", "t\u00f6ken".encode()])
def test_token_when_the_file_holds_none_then_there_is_none_and_the_log_says_why(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    source = TokenSource(None, file, tmp_path / "none")
    assert [source.current(), source.current()] == [None, None]
    assert len(caplog.records) == 1
    assert str(file) in caplog.text
    with pytest.raises(SettingsError, match="copy it again"):
        TokenSource("two words", None)


@pytest.mark.parametrize(
    ("code", "error", "cause", "least", "refused"),
    [
        (1000, None, "closed by the server, code 1000", 0, False),
        (1001, None, "closed by the server, code 1001", 0, False),
        (1008, None, "closed by policy, code 1008", 10, False),
        (None, ConnectionResetError(104, "reset"), "connection lost (ConnectionResetError)", 0, False),
        (None, ConnectionRefusedError(111, "refused"), "connection refused", 0, False),
        (None, socket.gaierror(-2, "unknown"), "the server's name cannot be resolved", 0, False),
        (None, websocket.WebSocketTimeoutException("ping/pong timed out"), "timed out (ping/pong timed out)", 0, False),
        (None, websocket.WebSocketException("Redirect limit exhausted"), "redirected in a circle", 10, False),
        (None, websocket.WebSocketBadStatusException("x %s %s", 401), "Upstox refused the access token (401)", 0, True),
        (None, websocket.WebSocketBadStatusException("x %s %s", 403), "refused (403)", 10, False),
        (None, websocket.WebSocketBadStatusException("x %s %s", 429), "too many requests (429)", 15, False),
        (
            None,
            websocket.WebSocketBadStatusException("x %s %s", 429, resp_headers={"retry-after": "40"}),
            "too many requests (429)",
            40,
            False,
        ),
        (None, websocket.WebSocketBadStatusException("x %s %s", 503), "refused (HTTP 503)", 2, False),
        (None, None, "connection lost", 0, False),
    ],
)
def test_end_of_a_connection_when_judged_then_cause_and_pace(
    code: int | None, error: BaseException | None, cause: str, least: float, refused: bool
) -> None:
    verdict = judged(code, None, error)
    assert (verdict.cause, verdict.least_seconds, verdict.token_refused) == (cause, least, refused)


def test_end_of_a_connection_when_the_certificate_is_not_trusted_then_the_cure_names_the_setting() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    verdict = judged(None, None, error)
    assert "self-signed certificate" in verdict.cause
    assert "UPSTOX_CA_FILE" in verdict.cure


@pytest.mark.parametrize("url", ["wss://api.upstox.com/v3/feed", "ws://127.0.0.1:9/x", "ws://localhost:9/x"])
def test_url_when_tls_or_loopback_then_taken(url: str) -> None:
    assert checked_url(url) == url


@pytest.mark.parametrize("url", ["ws://api.upstox.com/v3", "http://127.0.0.1/", "wss://", "ws://127.0.0.1.evil.test/"])
def test_url_when_the_token_could_be_read_on_its_way_then_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="UPSTOX_FEED_URL"):
        checked_url(url)


def test_tls_when_options_are_made_then_certificate_and_name_are_verified(tmp_path: Path) -> None:
    context = tls_options(None)["context"]
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    with pytest.raises(SettingsError, match="UPSTOX_CA_FILE"):
        tls_options(tmp_path / "absent.pem")


@pytest.mark.parametrize("content", [b"", b"\xff", b"junk", b"7", b"[]", b"{}"])
def test_lease_when_its_node_holds_no_streamer_then_reported_as_taken_by_something_else(content: bytes) -> None:
    class Client:
        client_id = None

        def get_async(self, path: str) -> Client:
            return self

        def get(self, timeout: float) -> tuple[bytes, None]:
            return content, None

    leases = InstrumentLeases(ZooKeeperCluster("nowhere:2181"), "x")
    leases._client = Client()
    assert leases._holder("NSE_EQ|A") == "something that is not a streamer (the node /orderflow/streamers/NSE_EQ%7CA)"
