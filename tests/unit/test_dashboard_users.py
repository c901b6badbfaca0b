"""`python -m orderflow users`: passwords come from standard input, and the file says who may log in."""

from __future__ import annotations

import io
import json
import stat
from pathlib import Path

import pytest

from orderflow.__main__ import main
from orderflow.dashboard.web.accounts import Accounts, is_password
from orderflow.market.errors import OrderflowError

PASSWORD = "correct horse battery"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENV_FILE", "/dev/null")
    monkeypatch.setenv("DASHBOARD_USERS_FILE", str(tmp_path / "own" / "users.json"))
    return tmp_path / "own" / "users.json"


def users(monkeypatch: pytest.MonkeyPatch, *arguments: str, typed: str = "") -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    return main(["users", *arguments])


def test_user_when_added_has_the_hash_of_the_first_line_and_its_role(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert users(monkeypatch, "add", "asha", "--role", "operator", typed=f"{PASSWORD}\nnext line\n") == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    user = Accounts(file).load()["asha"]
    assert (user.role, is_password(user, PASSWORD), is_password(user, PASSWORD + " ")) == ("operator", True, False)


def test_user_when_added_again_has_the_new_password_and_role_and_the_others_stay(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    users(monkeypatch, "add", "asha", "--role", "operator", typed=PASSWORD)
    users(monkeypatch, "add", "mira@example.com", "--proxy")
    users(monkeypatch, "add", "asha", typed="another long one")
    capsys.readouterr()
    users(monkeypatch, "list")
    assert capsys.readouterr().out == "asha\tviewer\tpassword\nmira@example.com\tviewer\tproxy\n"
    assert is_password(Accounts(file).load()["asha"], "another long one")
    users(monkeypatch, "remove", "asha")
    assert list(json.loads(file.read_text())) == ["mira@example.com"]


@pytest.mark.parametrize(
    ("arguments", "typed", "message"),
    [
        (("add", "asha"), "short", "a password has 12 to 1024 characters; this one has 5"),
        (("add", "asha"), "", "this one has 0"),
        (("add", "as ha"), PASSWORD, "'as ha' is not a valid user name"),
        (("remove", "asha"), "", "create it with"),
    ],
)
def test_users_when_something_is_wrong_says_what_and_changes_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], typed: str, message: str
) -> None:
    with pytest.raises(OrderflowError, match=message):
        users(monkeypatch, *arguments, typed=typed)
    assert not file.exists()


def test_users_when_a_password_is_an_argument_refuses(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit):
        users(monkeypatch, "add", "asha", PASSWORD)
    assert not file.exists()


def test_password_when_typed_at_a_terminal_is_asked_for_twice(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    typed = iter([PASSWORD, PASSWORD + "!", PASSWORD, PASSWORD])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(typed))
    with pytest.raises(OrderflowError, match="the two passwords differ"):
        main(["users", "add", "asha"])
    main(["users", "add", "asha"])
    assert is_password(Accounts(file).load()["asha"], PASSWORD)


def test_sessions_when_ended_are_signed_by_another_key(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users(monkeypatch, "add", "asha", typed=PASSWORD)
    keys = []
    for _ in range(2):
        users(monkeypatch, "end-sessions")
        keys.append((file.parent / "session.key").read_text())
    assert len({*keys}) == 2
    assert stat.S_IMODE((file.parent / "session.key").stat().st_mode) == 0o600


def test_users_when_no_file_is_set_says_which_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENV_FILE", "/dev/null")
    monkeypatch.delenv("DASHBOARD_USERS_FILE", raising=False)
    with pytest.raises(OrderflowError, match="set DASHBOARD_USERS_FILE"):
        users(monkeypatch, "list")
