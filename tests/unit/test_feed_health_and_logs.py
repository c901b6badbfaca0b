"""Health endpoint and log masking."""

import io
import json
import logging
import socket
import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, Counter

from orderflow import logs
from orderflow.health import Health, HealthServer
from orderflow.market.errors import OrderflowError


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.fixture
def root_logger():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def test_healthz_when_healthy_then_200_and_state():
    with HealthServer("127.0.0.1", 0, lambda: Health(True, "connected", {"instruments": 3}), CollectorRegistry()) as server:
        status, body = get(f"http://127.0.0.1:{server.port}/healthz")
    assert status == 200
    assert json.loads(body) == {"healthy": True, "state": "connected", "instruments": 3}


def test_healthz_when_not_healthy_or_check_raises_then_503():
    answers = iter([Health(False, "token expired"), None])

    def check() -> Health:
        answer = next(answers)
        if answer is None:
            raise ZeroDivisionError("no figures yet")
        return answer

    with HealthServer("127.0.0.1", 0, check, CollectorRegistry()) as server:
        first = get(f"http://127.0.0.1:{server.port}/healthz")
        second = get(f"http://127.0.0.1:{server.port}/healthz")
    assert first[0] == second[0] == 503
    assert json.loads(first[1])["state"] == "token expired"
    assert "ZeroDivisionError" in json.loads(second[1])["error"]


def test_metrics_when_asked_then_prometheus_text():
    registry = CollectorRegistry()
    Counter("seen", "Things seen", registry=registry).inc(2)
    with HealthServer("127.0.0.1", 0, lambda: Health(True, "up"), registry) as server:
        status, body = get(f"http://127.0.0.1:{server.port}/metrics")
        missing = get(f"http://127.0.0.1:{server.port}/other")
    assert status == 200
    assert b"seen_total 2.0" in body
    assert missing[0] == 404


def test_health_server_when_port_in_use_then_error_names_the_setting():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OrderflowError, match="HEALTH_PORT"):
            HealthServer("127.0.0.1", taken.getsockname()[1], lambda: Health(True, "up"))


def test_log_line_when_it_holds_a_token_then_masked_also_in_the_traceback(root_logger):
    out = io.StringIO()
    logs.configure("INFO", secrets=["s3cr3t-token-value"], stream=out)
    try:
        raise ValueError("handshake with Authorization: Bearer abc.def.ghi-123 failed")
    except ValueError:
        logging.getLogger("orderflow.test").exception("token %s", "s3cr3t-token-value")
    logging.getLogger("orderflow.test").info("%s", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln wss://host/?code=abcdefgh12&x=1")
    text = out.getvalue()
    assert "s3cr3t-token-value" not in text
    assert "abc.def.ghi-123" not in text
    assert "eyJ" not in text
    assert "abcdefgh12" not in text
    assert "x=1" in text


def test_exit_code_when_application_raises_then_one_error_line(root_logger):
    out = io.StringIO()
    logs.configure("INFO", stream=out)

    def refuse() -> int:
        raise OrderflowError("UPSTOX_ACCESS_TOKEN is missing; set it")

    assert logs.exit_code(refuse) == 1
    assert out.getvalue().count("\n") == 1
    assert "ERROR orderflow: UPSTOX_ACCESS_TOKEN is missing; set it" in out.getvalue()
    assert logs.exit_code(lambda: 0) == 0
