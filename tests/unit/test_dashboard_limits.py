"""How much one visitor may ask of the dashboard: against the started server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from orderflow.dashboard.web.limits import LARGEST_MESSAGE, Limits
from orderflow.dashboard.web.sessions import Sessions
from orderflow.dashboard.web.window import Window
from tests.unit.served_dashboard import Visit, ask, closed, served, users_in, wait_until

TRY_AGAIN_LATER = 1013


def test_window_when_its_time_is_over_allows_again_and_others_are_counted_apart() -> None:
    now = [1000.0]
    window = Window(2, 60.0, lambda: now[0])
    assert [window.hit("a"), window.wait_seconds("a"), window.hit("a"), window.wait_seconds("a")] == [True, 0, True, 60]
    now[0] += 59.5
    assert (window.hit("a"), window.wait_seconds("a"), window.hit("b")) == (False, 1, True)
    now[0] += 0.5
    assert [window.wait_seconds("a"), window.hit("a"), window.hit("a"), window.hit("a")] == [0, True, True, False]


def test_requests_when_an_address_sends_too_many_are_answered_with_429_until_the_minute_ends() -> None:
    with served(limits=Limits(requests_per_minute=3)) as address:
        answers = [Visit(address).get("/api/instruments") for _ in range(4)]
    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    assert answers[3].json() == {"error": "more than 3 requests a minute (DASHBOARD_REQUESTS_PER_MINUTE)"}
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 60
    assert answers[3].headers["X-Content-Type-Options"] == "nosniff"


def test_requests_when_users_share_an_address_are_counted_for_each_user(tmp_path: Path) -> None:
    with served(Sessions(users_in(tmp_path).path, 3600), limits=Limits(requests_per_minute=3)) as address:
        asha, ravi = Visit(address), Visit(address)
        asha.log_in("asha")
        ravi.log_in("ravi")
        assert [asha.get("/api/dates").status_code for _ in range(4)] == [200, 200, 200, 429]
        assert ravi.get("/api/dates").status_code == 200
        assert [Visit(address).get("/api/dates").status_code for _ in range(2)] == [401, 429]


def is_served(visit: Visit) -> bool:
    """Open a socket and say whether the server serves it."""
    with visit.socket() as socket:
        try:
            return ask(socket, "hello", type="view")["type"] == "hello"
        except ConnectionClosed:
            return False


def test_sockets_when_a_visitor_opens_too_many_are_closed_and_one_that_leaves_makes_room() -> None:
    with served(limits=Limits(sockets_per_user=2)) as address:
        visit = Visit(address)
        with visit.socket() as first:
            ask(first, "hello", type="view")
            with visit.socket() as second:
                ask(second, "hello", type="view")
                with visit.socket() as third:
                    assert closed(third) == (TRY_AGAIN_LATER, "too many connections of one user (DASHBOARD_SOCKETS_PER_USER)")
            wait_until(lambda: is_served(visit))
            ask(first, "pong", type="ping", t=1)


def test_sockets_when_all_visitors_together_have_too_many_are_closed(tmp_path: Path) -> None:
    with served(Sessions(users_in(tmp_path).path, 3600), limits=Limits(sockets=1)) as address:
        asha, ravi = Visit(address), Visit(address)
        asha.log_in("asha")
        ravi.log_in("ravi")
        with asha.socket() as held:
            ask(held, "hello", type="view")
            with ravi.socket() as socket:
                assert closed(socket) == (TRY_AGAIN_LATER, "too many connections (DASHBOARD_SOCKETS)")


def test_messages_when_a_socket_sends_too_many_is_closed_and_the_next_socket_is_served() -> None:
    with served(limits=Limits(messages_per_second=2)) as address:
        with Visit(address).socket() as socket:
            ask(socket, "hello", type="view")
            for _ in range(19):
                ask(socket, "pong", type="ping", t=1)
            socket.send('{"type":"ping","t":1}')
            assert closed(socket) == (TRY_AGAIN_LATER, "too many messages (DASHBOARD_MESSAGES_PER_SECOND)")
        with Visit(address).socket() as socket:
            assert ask(socket, "hello", type="view")["type"] == "hello"


def test_message_when_it_is_too_large_closes_its_socket() -> None:
    with served() as address, Visit(address).socket() as socket:
        ask(socket, "hello", type="view")
        socket.send(json.dumps({"type": "error", "text": "x" * LARGEST_MESSAGE}))
        assert closed(socket)[0] == 1009


@pytest.mark.parametrize("chunked", [False, True])
def test_body_when_it_is_too_large_is_refused(tmp_path: Path, chunked: bool) -> None:
    body = b"x" * (LARGEST_MESSAGE + 1)
    with served(Sessions(users_in(tmp_path).path, 3600)) as address:
        answer = Visit(address).post("/login", data=iter([body]) if chunked else body)
    assert answer.status_code == 413


def test_limits_when_zero_are_none() -> None:
    with served(limits=Limits(0, 0, 0, 0)) as address:
        visit = Visit(address)
        assert {visit.get("/api/dates").status_code for _ in range(30)} == {200}
        with visit.socket() as first, visit.socket() as second:
            for socket in (first, second):
                ask(socket, "hello", type="view")
                assert ask(socket, "pong", type="ping", t=1)["t"] == 1
