"""`python -m orderflow login` against the simulator, by the SDK, with a browser played by the test."""

from __future__ import annotations

import re
import socket
import stat
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path

import pytest

from orderflow import logs
from orderflow.market.errors import SettingsError
from orderflow.settings import Settings, load
from orderflow.simulator.catalogue import choose
from orderflow.simulator.in_process import SimulatorServer
from orderflow.simulator.login import LoginDesk, next_half_past_three_ms
from orderflow.simulator.market_model import MarketModel
from orderflow.upstox.login import code_in, login
from orderflow.upstox.redirect import ForeignAnswerError, LoginError
from orderflow.upstox.token import TokenSource, expiry_ms

TCS = "NSE_EQ|INE467B01029"
NOON = 1_765_780_200_000  # 15 December 2025, 12:00 IST
NEXT_HALF_PAST_THREE = 1_765_836_000_000
Lines = list[str]


@pytest.fixture(scope="module")
def upstox() -> Iterator[SimulatorServer]:
    with SimulatorServer(MarketModel(choose(TCS)), token="right", login=LoginDesk(lambda: NOON)) as server:
        yield server


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settings_of(server: SimulatorServer, port: int, directory: Path, **more: str) -> Settings:
    environ = {
        "UPSTOX_REST_URL": server.rest_url,
        "UPSTOX_CLIENT_ID": "simulator",
        "UPSTOX_CLIENT_SECRET": "simulator-secret",
        "UPSTOX_REDIRECT_URI": f"http://127.0.0.1:{port}/upstox",
        "UPSTOX_ACCESS_TOKEN_FILE": str(directory / "secrets" / "token"),
    }
    return load({**environ, **more}, directory / "none")


def fetched(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def link(page: str, name: str) -> str:
    match = re.search(rf'<a id="{name}" href="([^"]+)"', page)
    assert match, page
    return unescape(match[1])


def browser(pages: list[tuple[int, str]], *clicks: Callable[[str], str]) -> Callable[[str], None]:
    """Return a browser that shows the dialog and then goes to the address that each click makes of its page."""

    def go(address: str) -> None:
        _, dialog = fetched(address)
        pages.extend(fetched(click(dialog)) for click in clicks)

    return lambda address: threading.Thread(target=go, args=(address,), daemon=True).start()


def allow(page: str) -> str:
    return link(page, "allow")


def test_login_when_allowed_then_the_token_file_is_private_and_a_running_streamer_takes_it(
    upstox: SimulatorServer, free_port: int, tmp_path: Path
) -> None:
    settings, lines = settings_of(upstox, free_port, tmp_path), Lines()
    tokens = TokenSource(None, settings.access_token_file, tmp_path / "no-secret")
    assert tokens.current() is None
    assert login(settings, open_browser=browser([], allow), say=lines.append, now_ms=lambda: NOON) == 0
    file = tmp_path / "secrets" / "token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["token"]
    token = tokens.current()
    assert token is not None
    assert token.expires_ms == NEXT_HALF_PAST_THREE
    assert lines[-1] == f"The token is in {file}, and valid until 16 December 2025, 03:30 IST. A running streamer picks it up."
    request = urllib.request.Request(
        f"{upstox.rest_url}/v2/market/status/NSE", headers={"Authorization": f"Bearer {token.value}"}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert answer.status == 200


def test_login_when_the_old_token_has_expired_then_the_new_one_takes_its_place(
    upstox: SimulatorServer, free_port: int, tmp_path: Path
) -> None:
    settings = settings_of(upstox, free_port, tmp_path)
    file = tmp_path / "secrets" / "token"
    file.parent.mkdir()
    file.write_text("eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3NjU3NDk2MDB9.c2lnbmVk\n")
    tokens = TokenSource(None, file, tmp_path / "no-secret")
    before = tokens.current()
    assert before is not None
    assert before.is_expired(NOON)
    login(settings, open_browser=browser([], allow), say=Lines().append, now_ms=lambda: NOON)
    after = tokens.current()
    assert after is not None
    assert not after.is_expired(NOON)


def test_login_when_pasted_then_no_port_is_needed(upstox: SimulatorServer, tmp_path: Path) -> None:
    lines = Lines()
    settings = settings_of(upstox, 1, tmp_path)

    def paste() -> str:
        address = re.search(r"http://\S+/dialog\S+", lines[0])
        assert address
        return f" {allow(fetched(address[0])[1])}\n"

    assert login(settings, paste=paste, say=lines.append, now_ms=lambda: NOON) == 0
    assert expiry_ms((tmp_path / "secrets" / "token").read_text().strip()) == NEXT_HALF_PAST_THREE


def test_login_when_the_code_is_wrong_then_upstoxs_words_and_the_file_stays(
    upstox: SimulatorServer, free_port: int, tmp_path: Path
) -> None:
    file = tmp_path / "secrets" / "token"
    file.parent.mkdir()
    file.write_text("the one before")

    def forge(page: str) -> str:
        return re.sub(r"code=[^&]+", "code=forged", allow(page))

    with pytest.raises(LoginError, match=r"refused the code \(UDAPI100057 Invalid Auth code\): it is wrong, used or too old"):
        login(settings_of(upstox, free_port, tmp_path), open_browser=browser([], forge), say=Lines().append, now_ms=lambda: NOON)
    assert file.read_text() == "the one before"


def test_login_when_the_secret_is_wrong_then_the_error_names_the_setting(
    upstox: SimulatorServer, free_port: int, tmp_path: Path
) -> None:
    settings = settings_of(upstox, free_port, tmp_path, UPSTOX_CLIENT_SECRET="not the secret")
    with pytest.raises(LoginError, match=r"UDAPI100069.*UPSTOX_CLIENT_SECRET") as refused:
        login(settings, open_browser=browser([], allow), say=Lines().append, now_ms=lambda: NOON)
    assert "not the secret" not in str(refused.value)


def test_login_when_the_secret_is_in_a_file_then_the_file_wins(upstox: SimulatorServer, free_port: int, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("simulator-secret\n")
    settings = settings_of(
        upstox, free_port, tmp_path, UPSTOX_CLIENT_SECRET="old", UPSTOX_CLIENT_SECRET_FILE=str(tmp_path / "secret")
    )
    assert login(settings, open_browser=browser([], allow), say=Lines().append, now_ms=lambda: NOON) == 0


def test_login_when_cancelled_at_upstox_then_ends_at_once_and_says_so(
    upstox: SimulatorServer, free_port: int, tmp_path: Path
) -> None:
    with pytest.raises(LoginError, match=r"cancelled or refused \(access_denied\); nothing has changed"):
        login(
            settings_of(upstox, free_port, tmp_path),
            open_browser=browser([], lambda page: link(page, "cancel")),
            say=Lines().append,
        )
    assert not (tmp_path / "secrets" / "token").exists()


def test_login_when_interrupted_then_says_that_nothing_has_changed(upstox: SimulatorServer, tmp_path: Path) -> None:
    def interrupt() -> str:
        raise KeyboardInterrupt

    with pytest.raises(LoginError, match="the login was cancelled; nothing has changed"):
        login(settings_of(upstox, 1, tmp_path), paste=interrupt, say=Lines().append)


def test_login_when_another_logins_answer_comes_first_then_it_is_refused_and_the_wait_goes_on(
    upstox: SimulatorServer, free_port: int, tmp_path: Path
) -> None:
    pages: list[tuple[int, str]] = []

    def foreign(page: str) -> str:
        return re.sub(r"state=[^&]+", "state=of-somebody-else", allow(page))

    def elsewhere(_: str) -> str:
        return f"http://127.0.0.1:{free_port}/favicon.ico"

    settings = settings_of(upstox, free_port, tmp_path)
    assert login(settings, open_browser=browser(pages, foreign, elsewhere, allow), say=Lines().append, now_ms=lambda: NOON) == 0
    assert [status for status, _ in pages[:2]] == [400, 404]
    assert "belongs to another login" in pages[0][1]


def test_login_when_nothing_comes_in_time_then_says_what_to_do(upstox: SimulatorServer, free_port: int, tmp_path: Path) -> None:
    with pytest.raises(LoginError, match=r"nothing came from Upstox within 0 s.*--paste"):
        login(settings_of(upstox, free_port, tmp_path), open_browser=lambda _: None, say=Lines().append, wait_seconds=0)


def test_login_when_the_given_token_has_ended_already_then_refused_and_nothing_is_written(
    upstox: SimulatorServer, free_port: int, tmp_path: Path
) -> None:
    with pytest.raises(LoginError, match="already expired, 16 December 2025, 03:30 IST: set this machine's clock"):
        login(
            settings_of(upstox, free_port, tmp_path),
            open_browser=browser([], allow),
            say=Lines().append,
            now_ms=lambda: NEXT_HALF_PAST_THREE,
        )
    assert not (tmp_path / "secrets" / "token").exists()


def test_login_when_the_port_is_in_use_then_the_error_names_it_before_a_browser_opens(
    upstox: SimulatorServer, tmp_path: Path
) -> None:
    opened = Lines()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"port {port} of UPSTOX_REDIRECT_URI=.* is in use"):
            login(settings_of(upstox, port, tmp_path), open_browser=opened.append, say=Lines().append)
    assert opened == []


def test_login_when_upstox_is_unreachable_then_says_where(free_port: int, upstox: SimulatorServer, tmp_path: Path) -> None:
    settings = settings_of(upstox, 1, tmp_path, UPSTOX_REST_URL=f"http://127.0.0.1:{free_port}")
    lines = Lines()

    def paste() -> str:
        state = re.search(r"state=(\S+)", lines[0])
        assert state
        return f"http://127.0.0.1:1/upstox?code=abc&state={state[1]}"

    with pytest.raises(LoginError, match=f"does not answer at http://127.0.0.1:{free_port}"):
        login(settings, paste=paste, say=lines.append)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("UPSTOX_CLIENT_ID", "", "UPSTOX_CLIENT_ID must be set.*Analytics Token"),
        ("UPSTOX_CLIENT_SECRET", "", "UPSTOX_CLIENT_SECRET must be set"),
        ("UPSTOX_CLIENT_SECRET_FILE", "/nowhere/secret", "UPSTOX_CLIENT_SECRET_FILE=/nowhere/secret cannot be read"),
        ("UPSTOX_ACCESS_TOKEN_FILE", "", "UPSTOX_ACCESS_TOKEN_FILE is not set"),
        ("UPSTOX_ACCESS_TOKEN_FILE", "/dev/null/token", "UPSTOX_ACCESS_TOKEN_FILE=/dev/null/token cannot be written"),
        ("UPSTOX_REST_URL", "http://example.com", "neither https:// nor http:// on loopback"),
        ("UPSTOX_REDIRECT_URI", "https://example.com/x", "not http:// on this machine.*--paste"),
        ("UPSTOX_REDIRECT_URI", "http://127.0.0.1:ninety/", "not http:// on this machine"),
    ],
)
def test_login_when_a_setting_is_missing_or_wrong_then_the_error_names_it(
    upstox: SimulatorServer, tmp_path: Path, setting: str, value: str, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        login(settings_of(upstox, 1, tmp_path, **{setting: value}), open_browser=lambda _: None, say=Lines().append)


def test_code_when_the_answer_is_incomplete_then_refused() -> None:
    with pytest.raises(LoginError, match="carries no code"):
        code_in("/upstox?state=abc", "http://127.0.0.1:1/upstox", "abc")
    with pytest.raises(ForeignAnswerError, match="not an address under"):
        code_in("https://example.com/?code=x&state=abc", "http://127.0.0.1:1/upstox", "abc")
    with pytest.raises(ForeignAnswerError, match="belongs to another login"):
        code_in("/?code=x", "http://127.0.0.1:1", "abc")
    assert code_in("/?code=x&state=abc", "http://127.0.0.1:1", "abc") == "x"


def test_code_when_it_was_used_then_good_for_nothing() -> None:
    desk = LoginDesk(lambda: NOON)
    redirect = "http://127.0.0.1:1/"
    page = desk.dialog(f"response_type=code&client_id=simulator&redirect_uri={redirect}") or ""
    code = re.search(r"code=([^&\"]+)", page)
    assert code
    form = (
        f"code={code[1]}&client_id=simulator&client_secret=simulator-secret&redirect_uri={redirect}&grant_type=authorization_code"
    )
    assert [desk.exchange(form)[0] for _ in range(2)] == [200, 401]


@pytest.mark.parametrize("query", ["", "response_type=code&client_id=nobody&redirect_uri=http://x/", "client_id=simulator"])
def test_dialog_when_the_application_is_wrong_then_not_shown(upstox: SimulatorServer, query: str) -> None:
    status, body = fetched(f"{upstox.rest_url}/v2/login/authorization/dialog?{query}")
    assert status == 400
    assert "UDAPI100068" in body


def test_half_past_three_when_it_is_earlier_or_later_than_that_then_the_next_one() -> None:
    assert next_half_past_three_ms(NOON) == NEXT_HALF_PAST_THREE
    assert next_half_past_three_ms(NEXT_HALF_PAST_THREE - 1) == NEXT_HALF_PAST_THREE
    assert next_half_past_three_ms(NEXT_HALF_PAST_THREE) == NEXT_HALF_PAST_THREE + 86_400_000


def test_secret_and_code_when_logged_then_masked(upstox: SimulatorServer, tmp_path: Path) -> None:
    settings = settings_of(upstox, 1, tmp_path)
    assert "simulator-secret" not in repr(settings)
    code_in("/?code=code-of-this-login&state=abc", "http://127.0.0.1:1", "abc")
    line = logs.masked("code-of-this-login and client_secret=another-secret&x=1")
    assert line == "*** and client_secret=***&x=1"
