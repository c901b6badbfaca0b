"""Who is let in, by HTTP and WebSocket, until when, and what each role may do: against the started server."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import requests

from orderflow.certificates import Authority
from orderflow.clusters import TlsFiles
from orderflow.dashboard.sources.directory import Directory
from orderflow.dashboard.state.alerts import Rule
from orderflow.dashboard.web import sessions as sessions_module
from orderflow.dashboard.web.accounts import Accounts, User, hash_password, key_file, renew_key
from orderflow.dashboard.web.alert_desk import Webhook
from orderflow.dashboard.web.app import Parts, create_app
from orderflow.dashboard.web.login import address_of
from orderflow.dashboard.web.serving import exposure, server_options
from orderflow.dashboard.web.sessions import Sessions, may_post
from orderflow.market.errors import OrderflowError
from tests.unit.served_dashboard import PASSWORDS, PLAIN, Clock, Visit, ask, closed, live_store, served, users_in
from tests.unit.test_dashboard_store import KEY, trade

HOURS_12 = 12 * 3600.0
LOGGED_OUT = 4401
PROTECTED = ("/metrics", "/api/instruments", "/api/view", "/api/latency", "/_dash-layout", "/_dash-dependencies", "/any/other")


class Door:
    """A dashboard with logins and what a test changes about it."""

    def __init__(self, address: str, accounts: Accounts, clock: Clock) -> None:
        self.address, self.accounts, self.clock = address, accounts, clock

    def visit(self, name: str = "") -> Visit:
        visit = Visit(self.address)
        if name:
            assert visit.log_in(name).status_code == 303
        return visit


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    accounts, clock = users_in(tmp_path), Clock()
    with served(Sessions(accounts.path, HOURS_12, clock), alert_webhook="http://127.0.0.1:9/") as address:
        yield Door(address, accounts, clock)


def rule(identifier: str = "r1", **more: object) -> dict[str, object]:
    return {"id": identifier, "key": KEY, "kind": "above", "value": 101.0, **more}


# Strangers ------------------------------------------------------------------------------------------------------------


def test_page_when_nobody_has_logged_in_leads_to_the_login_and_keeps_the_view(door: Door) -> None:
    answer = door.visit().get("/?minutes=5&mode=footprint", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login?minutes=5&mode=footprint")


@pytest.mark.parametrize("path", PROTECTED)
def test_endpoint_when_nobody_has_logged_in_answers_401(door: Door, path: str) -> None:
    answer = door.visit().get(path, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.json()) == (401, {"error": "log in first"})


def test_dash_callback_when_nobody_has_logged_in_answers_401(door: Door) -> None:
    assert door.visit().post("/_dash-update-component", json={}).status_code == 401


def test_socket_when_nobody_has_logged_in_is_closed_with_the_code_that_leads_to_the_login(door: Door) -> None:
    with door.visit().socket() as socket:
        assert closed(socket) == (LOGGED_OUT, "log in first")


def test_healthz_when_nobody_has_logged_in_says_the_status_alone(door: Door) -> None:
    assert door.visit().get("/healthz").json() == {"status": "ok"}
    assert door.visit("ravi").get("/healthz").json()["instruments"] == 1


def test_login_page_when_asked_for_loads_its_style_before_the_login(door: Door) -> None:
    visit = door.visit()
    addresses = re.findall(r'(?:href|src)="([^"]+)"', visit.get("/login").text)
    assert len(addresses) == 4
    assert {visit.get(address).status_code for address in addresses} == {200}


# Sessions -------------------------------------------------------------------------------------------------------------


def test_login_when_the_password_is_right_opens_everything_a_viewer_sees(door: Door) -> None:
    visit = door.visit()
    answer = visit.post("/login", data={"name": "ravi", "password": PASSWORDS["ravi"], "view": "minutes=5"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/?minutes=5")
    cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=lax", "Path=/", "Max-Age=43200"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert [visit.get(path).status_code for path in ("/", "/api/instruments", "/_dash-layout")] == [200, 200, 200]
    assert visit.get("/api/instruments").headers["Cache-Control"] == "no-store"
    with visit.socket() as socket:
        assert ask(socket, "hello", type="view")["user"] == {"name": "ravi", "role": "viewer", "session": True}
    assert visit.get("/login?minutes=5").headers["Location"] == "/?minutes=5"


@pytest.mark.parametrize(("name", "password"), [("ravi", "a long password of asha"), ("nobody", "x"), ("", ""), ("ravi", "")])
def test_login_when_name_or_password_is_wrong_says_the_same_and_opens_nothing(door: Door, name: str, password: str) -> None:
    visit = door.visit()
    answer = visit.post("/login", data={"name": name, "password": password})
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (401, False)
    assert '<p id="problem" role="alert" class="banner error">Name or password is wrong.</p>' in answer.text
    assert visit.get("/api/instruments").status_code == 401


@pytest.mark.parametrize("view", ["//evil.example.com", "\r\nX-Evil: 1", '"><script>alert(1)</script>'])
def test_login_when_the_view_is_forged_leads_nowhere_else(door: Door, view: str) -> None:
    answer = door.visit().post("/login", data={"name": "ravi", "password": PASSWORDS["ravi"], "view": view})
    assert answer.headers["Location"].startswith("/?")
    assert "X-Evil" not in answer.headers
    assert "<script>alert" not in door.visit().post("/login", data={"name": "x", "password": "y", "view": view}).text


def test_session_when_its_cookie_is_forged_is_none(door: Door) -> None:
    visit = door.visit("ravi")
    held = visit.http.cookies["orderflow_session"]
    payload, signature = held.split(".")
    for forged in (f"{payload}A.{signature}", payload, f"{payload}.{signature[::-1]}", ""):
        assert requests.get(f"{door.address}/api/dates", cookies={"orderflow_session": forged}, timeout=10).status_code == 401
    assert visit.get("/api/dates").status_code == 200


def removes(door: Door) -> None:
    door.accounts.remove("ravi")


def sets_password(door: Door) -> None:
    door.accounts.put("ravi", User("viewer", hash_password(PASSWORDS["ravi"])))


def renews_key(door: Door) -> None:
    renew_key(key_file(door.accounts.path))


def waits(door: Door) -> None:
    door.clock.seconds += HOURS_12


def opens_file(door: Door) -> None:
    door.accounts.path.chmod(0o644)


@pytest.mark.parametrize("change", [removes, sets_password, renews_key, waits, opens_file])
def test_session_when_what_it_rests_on_changes_ends_and_its_open_socket_too(door: Door, change: Callable[[Door], None]) -> None:
    visit = door.visit("ravi")
    with visit.socket() as socket:
        ask(socket, "whole", type="view")
        change(door)
        assert visit.get("/api/instruments").status_code == 401
        assert closed(socket) == (LOGGED_OUT, "the session has ended")


def test_logout_when_the_cookie_was_copied_ends_the_copy_and_its_socket_and_no_other_session(door: Door) -> None:
    visit, other = door.visit("ravi"), door.visit("ravi")
    copied = dict(visit.http.cookies)
    with visit.socket() as socket:
        ask(socket, "whole", type="view")
        answer = visit.post("/logout")
        assert (answer.status_code, answer.headers["Location"], dict(visit.http.cookies)) == (303, "/login", {})
        assert closed(socket)[0] == LOGGED_OUT
    assert requests.get(f"{door.address}/api/dates", cookies=copied, timeout=10).status_code == 401
    assert other.get("/api/dates").status_code == 200
    assert visit.get("/logout").status_code == 401


@pytest.mark.parametrize("origin", ["https://evil.example.com", "null"])
def test_form_when_a_page_of_another_site_sends_it_is_refused(door: Door, origin: str) -> None:
    visit = door.visit("ravi")
    assert visit.post("/logout", headers={"Origin": origin}).status_code == 403
    assert door.visit().log_in("ravi", headers={"Origin": origin}).status_code == 403
    assert visit.post("/logout", headers={"Origin": door.address}).status_code == 303


# Guessing -------------------------------------------------------------------------------------------------------------


def test_login_when_an_address_guesses_too_often_waits_and_open_sessions_do_not(door: Door) -> None:
    visit = door.visit("ravi")
    assert [door.visit().log_in("asha", f"wrong {n}").status_code for n in range(11)] == [401] * 10 + [429]
    answer = door.visit().log_in("asha")
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 300
    assert re.search(r"Too many failed logins\. Try again in \d+ seconds\.", answer.text)
    refused = door.visit().get("/api/dates", auth=("asha", PASSWORDS["asha"]))
    assert (refused.status_code, refused.json()["error"][:22]) == (429, "too many failed logins")
    assert visit.get("/api/dates").status_code == 200


def test_login_when_many_addresses_guess_one_users_password_is_limited_for_that_user_alone(tmp_path: Path) -> None:
    accounts = users_in(tmp_path)
    with served(Sessions(accounts.path, HOURS_12), proxies=("127.0.0.1", "::1")) as address:
        codes = [
            Visit(address).log_in("asha", "wrong", headers={"X-Forwarded-For": f"192.0.2.{n}"}).status_code for n in range(21)
        ]
        assert codes == [401] * 20 + [429]
        assert Visit(address).log_in("ravi", headers={"X-Forwarded-For": "192.0.2.99"}).status_code == 303


@pytest.mark.parametrize(
    ("client", "held"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
    ],
)
def test_address_when_it_is_of_ipv6_counts_as_its_network(client: str, held: str) -> None:
    assert address_of({"client": (client, 1)}) == held


# Scripts and proxies --------------------------------------------------------------------------------------------------


def test_script_when_it_sends_name_and_password_is_answered_and_hashed_once(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    plain = sessions_module.is_password
    monkeypatch.setattr(sessions_module, "is_password", lambda user, given: hashed.append(given) or plain(user, given))
    answers = [door.visit().get("/metrics", auth=("asha", PASSWORDS["asha"])) for _ in range(3)]
    assert [(one.status_code, "dashboard_viewers" in one.text) for one in answers] == [(200, True)] * 3
    assert hashed == [PASSWORDS["asha"]]
    assert door.visit().get("/metrics", auth=("asha", "wrong")).status_code == 401
    door.accounts.put("asha", User("operator", hash_password("another long password")))
    assert door.visit().get("/metrics", auth=("asha", PASSWORDS["asha"])).status_code == 401


@pytest.mark.parametrize(
    ("proxies", "name", "status"),
    [
        (("127.0.0.0/8", "::1"), "mira@example.com", 200),
        (("127.0.0.0/8", "::1"), "unlisted@example.com", 401),
        (("10.0.0.0/8",), "mira@example.com", 401),
    ],
)
def test_user_header_when_sent_is_believed_from_a_listed_proxy_about_a_listed_user(
    tmp_path: Path, proxies: tuple[str, ...], name: str, status: int
) -> None:
    accounts = users_in(tmp_path)
    accounts.put("mira@example.com", User("viewer"))
    sessions = Sessions(accounts.path, HOURS_12)
    header = {"X-Forwarded-Email": name}
    with served(sessions, proxies=proxies, user_header="X-Forwarded-Email") as address:
        visit = Visit(address)
        assert visit.get("/api/instruments", headers=header).status_code == status
        with visit.socket(**header) as socket:
            if status == 200:
                assert ask(socket, "hello", type="view")["user"]["session"] is False
                accounts.remove(name)
            assert closed(socket)[0] == LOGGED_OUT


def test_user_without_password_when_it_logs_in_by_the_form_is_refused(door: Door) -> None:
    door.accounts.put("mira", User("viewer"))
    assert [door.visit().log_in("mira", given).status_code for given in ("x", "None")] == [401, 401]


def test_cookie_when_a_listed_proxy_speaks_https_is_for_https_alone(tmp_path: Path) -> None:
    sessions = Sessions(users_in(tmp_path).path, HOURS_12)
    forwarded = {"X-Forwarded-Proto": "https"}
    with served(sessions, proxies=("127.0.0.1", "::1")) as address:
        assert "Secure" in Visit(address).log_in("ravi", headers=forwarded).headers["Set-Cookie"]
    with served(sessions, proxies=("10.0.0.1",)) as address:
        assert "Secure" not in Visit(address).log_in("ravi", headers=forwarded).headers["Set-Cookie"]


# Roles ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "status"), [("ravi", 403), ("asha", 200)])
def test_figures_about_all_visitors_when_asked_for_are_for_operators(door: Door, name: str, status: int) -> None:
    visit = door.visit(name)
    assert [visit.get(path).status_code for path in ("/metrics", "/api/latency")] == [status, status]


def test_webhook_when_a_viewer_wants_it_is_refused_and_an_operator_has_it(door: Door) -> None:
    with door.visit("ravi").socket() as socket:
        ask(socket, "hello", type="view")
        answer = ask(socket, "alerts", type="alerts", add=[rule(webhook=True)])
        assert (answer["rules"], answer["webhook"]) == ([], False)
        assert answer["problem"] == "only an operator's alerts are posted to the webhook, which others read"
        assert [one["id"] for one in ask(socket, "alerts", type="alerts", add=[rule()])["rules"]] == ["r1"]
    with door.visit("asha").socket() as socket:
        ask(socket, "hello", type="view")
        answer = ask(socket, "alerts", type="alerts", add=[rule(webhook=True)])
        assert (answer["rules"][0]["webhook"], answer["webhook"], answer["problem"]) == (True, True, None)


def test_role_when_it_changes_counts_at_once_for_an_open_socket(door: Door) -> None:
    with door.visit("asha").socket() as socket:
        ask(socket, "hello", type="view")
        asha = door.accounts.find("asha")
        assert asha is not None
        door.accounts.put("asha", User("viewer", asha.password))
        assert ask(socket, "alerts", type="alerts", add=[rule(webhook=True)])["problem"].startswith("only an operator's")


@pytest.mark.parametrize(
    ("viewer", "posted"), [("user:asha", True), ("user:ravi", False), ("user:gone", False), ("token-of-a-browser", False)]
)
def test_alert_when_it_fires_is_posted_only_for_who_is_an_operator_now(tmp_path: Path, viewer: str, posted: bool) -> None:
    store, got = live_store(), []
    webhook = Webhook("http://127.0.0.1:9/", lambda key: (key, key), partial(may_post, users_in(tmp_path)))
    webhook._post = got.append  # type: ignore[method-assign,assignment]
    store.alerts.subscribe(webhook.fired)
    store.alerts.change(viewer, [Rule.parse(rule(webhook=True))], [], {KEY: 100.0})
    store.apply([trade(1, 101.0, 1, 0, 2)])
    webhook.start()
    webhook.stop()
    assert len(got) == int(posted)


@pytest.mark.parametrize(("logins", "posted"), [(True, ["user:asha"]), (False, ["user:asha", "token-of-a-browser"])])
def test_dashboard_when_it_has_a_webhook_then_with_logins_only_operators_alerts_go_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logins: bool, posted: list[str]
) -> None:
    store, got = live_store(), []
    monkeypatch.setattr("queue.Queue.put_nowait", lambda _waiting, alert: got.append(alert.viewer))
    sessions = Sessions(users_in(tmp_path).path, HOURS_12) if logins else None
    create_app(Parts(store, Directory((KEY,)), alert_webhook="http://127.0.0.1:9/", sessions=sessions))
    for viewer in ("user:asha", "token-of-a-browser"):
        store.alerts.change(viewer, [Rule.parse(rule(webhook=True))], [], {KEY: 100.0})
    store.apply([trade(1, 101.0, 1, 0, 2)])
    assert got == posted


def test_alerts_when_users_log_in_are_the_users_in_every_browser_whatever_token_it_sends(door: Door) -> None:
    token = "one-token-for-both-browsers"
    with door.visit("ravi").socket() as socket:
        ask(socket, "hello", type="view")
        ask(socket, "alerts", type="alerts", viewer=token, add=[rule()])
    for name, kept in (("ravi", ["r1"]), ("asha", [])):
        with door.visit(name).socket() as socket:
            ask(socket, "hello", type="view")
            assert [one["id"] for one in ask(socket, "alerts", type="alerts", viewer=token)["rules"]] == kept
            ask(socket, "alerts", type="alerts", viewer="user:ravi-is-not-asha", remove=["r1"] if name == "asha" else [])
    with door.visit("ravi").socket() as socket:
        ask(socket, "hello", type="view")
        assert len(ask(socket, "alerts", type="alerts")["rules"]) == 1


def test_token_when_it_looks_like_a_user_is_none_without_logins() -> None:
    with served() as address, Visit(address).socket() as socket:
        assert ask(socket, "hello", type="view")["user"] is None
        socket.send(json.dumps({"type": "alerts", "viewer": "user:somebody-else", "add": [rule()]}))
        assert ask(socket, "alerts", type="alerts", viewer="a-token-of-a-browser")["rules"] == []


# Files, TLS, warnings -------------------------------------------------------------------------------------------------


def test_files_when_created_are_their_owners_alone_and_hold_no_password(tmp_path: Path) -> None:
    accounts = users_in(tmp_path / "made")
    Sessions(accounts.path, HOURS_12)
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "made").iterdir()} == {
        "users.json": 0o600,
        "session.key": 0o600,
    }
    assert re.findall(r'"password": "(\$argon2id\$)', accounts.path.read_text()) == ["$argon2id$"] * 2
    assert "long password" not in accounts.path.read_text()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.chmod(0o640), "can be read by others: chmod 600"),
        (lambda path: path.unlink(), "create it with: python -m orderflow users add NAME"),
        (lambda path: path.write_text('{"asha": {"role": "root"}}'), "is not a valid users' file"),
        (lambda path: (path.parent / "session.key").chmod(0o644), "session.key can be read by others"),
    ],
)
def test_dashboard_when_its_files_are_invalid_does_not_start(
    tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    path = users_in(tmp_path).path
    Sessions(path, HOURS_12)
    spoil(path)
    with pytest.raises(OrderflowError, match=re.escape(message)):
        Sessions(path, HOURS_12)


def test_session_when_the_dashboard_starts_again_lasts(tmp_path: Path) -> None:
    path = users_in(tmp_path).path
    with served(Sessions(path, HOURS_12)) as address:
        visit = Visit(address)
        visit.log_in("ravi")
    with served(Sessions(path, HOURS_12)) as visit.address:
        assert visit.get("/api/instruments").status_code == 200


def test_tls_when_configured_serves_pages_and_sockets_and_a_cookie_for_https_alone(tmp_path: Path) -> None:
    authority = Authority.create("test")
    certificate, key = authority.issue("plotter", ("localhost",))
    files = {"ca.pem": authority.certificate_pem, "certificate.pem": certificate, "key.pem": key}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    tls = TlsFiles("DASHBOARD_SSL", None, tmp_path / "certificate.pem", tmp_path / "key.pem")
    with served(Sessions(users_in(tmp_path).path, HOURS_12), tls) as address:
        visit = Visit(address, tmp_path / "ca.pem")
        assert address.startswith("https://")
        assert "Secure" in visit.log_in("ravi").headers["Set-Cookie"]
        with visit.socket() as socket:
            assert ask(socket, "hello", type="view")["user"]["name"] == "ravi"
        with pytest.raises(requests.ConnectionError):
            requests.get(address.replace("https", "http"), timeout=10)
        visit.http.close()  # or the server would wait for its end of TLS
    (tmp_path / "key.pem").write_bytes(authority.key_pem)
    with pytest.raises(OrderflowError, match=r"DASHBOARD_SSL_KEY_FILE=.* cannot be used"):
        server_options(tls)


def test_exposure_when_others_may_reach_the_dashboard_is_warned_of() -> None:
    bare, guarded = {"logins": False, "proxies": False}, {"logins": True, "proxies": False}
    behind = {"logins": True, "proxies": True}
    tls = TlsFiles("DASHBOARD_SSL", None, Path("c"), Path("k"))
    assert [exposure(host, PLAIN, **bare) for host in ("127.0.0.1", "::1", "localhost")] == [[], [], []]
    assert [exposure(host, tls, **bare)[0][:24] for host in ("0.0.0.0", "desk.lan")] == ["no login is required: ev"] * 2
    assert exposure("0.0.0.0", PLAIN, **guarded)[0].startswith("passwords reach 0.0.0.0 unencrypted")
    assert exposure("0.0.0.0", tls, **guarded) == exposure("::", PLAIN, **behind) == []
