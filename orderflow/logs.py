"""Logging, configured once: one line a record, UTC, and no secret in any of them, tracebacks included."""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import TextIO

from orderflow.market.errors import OrderflowError

_HIDDEN = "***"
_BEARER = re.compile(r"(?i)(bearer\s+)[A-Za-z0-9._~+/=-]{6,}")
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(\.[A-Za-z0-9_-]*)?")
_PARAMETER = re.compile(r"(?i)((?:access_token|api_key|client_secret|code|token)=)[^&\s'\"]{6,}")
_SHORTEST_SECRET = 6
_TALKATIVE = ("kafka", "kazoo", "websocket", "urllib3", "py4j", "uvicorn.access", "cmdstanpy", "hdfs")

_secrets: set[str] = set()
_lock = threading.Lock()


def hide(secret: str | None) -> None:
    """Keep `secret` out of every line logged from now on; values under six characters are ignored."""
    if secret and len(secret.strip()) >= _SHORTEST_SECRET:
        with _lock:
            _secrets.add(secret.strip())


def masked(text: str) -> str:
    """Return `text` with every known secret, bearer credential, JWT and token parameter replaced by `***`."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    return _PARAMETER.sub(rf"\1{_HIDDEN}", _JWT.sub(_HIDDEN, _BEARER.sub(rf"\1{_HIDDEN}", text)))


class _MaskingFormatter(logging.Formatter):
    """A formatter whose output, traceback included, carries no secret."""

    @staticmethod
    def converter(timestamp: float | None) -> time.struct_time:
        return time.gmtime(timestamp)

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


def configure(level: str = "INFO", secrets: Iterable[str | None] = (), stream: TextIO | None = None) -> None:
    """Send every log record of the process to `stream` (default stderr) as one masked line; replaces earlier handlers."""
    for secret in secrets:
        hide(secret)
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        _MaskingFormatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", datefmt="%Y-%m-%dT%H:%M:%S")
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    for name in ("websocket", "kafka.net"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.captureWarnings(True)


def exit_code(application: Callable[[], int]) -> int:
    """Run `application` and return the process's exit code.

    An OrderflowError becomes one ERROR line that says what to do and code 1; an interrupt code 130; anything
    unforeseen a masked traceback and code 70, so that the process manager starts the application again.
    """
    try:
        return application()
    except OrderflowError as error:
        if not logging.getLogger().handlers:
            configure()
        logging.getLogger("orderflow").error("%s", error)
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception:
        if not logging.getLogger().handlers:
            configure()
        logging.getLogger("orderflow").exception("unforeseen error; the process ends and is restarted")
        return 70
