"""Saves alert rules in a file, so that they survive a restart, and posts alerts to a webhook for absent traders."""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from orderflow.dashboard.state.alerts import AlertBook, Fired
from orderflow.market.errors import OrderflowError
from orderflow.market.times import IST

SAVE_SECONDS: Final = 1.0
WAITING_MOST: Final = 100
PATIENCE_SECONDS: Final = 5.0
ATTEMPTS: Final = 3

log = logging.getLogger(__name__)


class AlertFile:
    """Keeps an alert book in a JSON file: read once, written whenever the book has changed, at most once a second."""

    def __init__(self, path: Path, book: AlertBook) -> None:
        self._path = path
        self._book = book
        self._saved = book.revision
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alert-file", daemon=True)

    def start(self) -> None:
        """Read the saved alerts, and save changes from now on. A file that cannot be read is moved aside and reported."""
        try:
            self._book.restore(json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            log.info("no alerts are saved yet in %s", self._path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OrderflowError) as error:
            aside = self._path.with_suffix(".broken")
            log.warning("the alerts in %s cannot be read (%s); they are moved to %s", self._path, error, aside)
            if self._path.exists():
                self._path.replace(aside)
        self._saved = self._book.revision
        self._thread.start()

    def stop(self) -> None:
        """Write what has changed, and stop."""
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stop.wait(SAVE_SECONDS):
            self.save()
        self.save()

    def save(self) -> None:
        """Write the book when it has changed since the last time."""
        revision = self._book.revision
        if revision == self._saved:
            return
        beside = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as out:
                out.write(orjson.dumps(self._book.to_record()))
                out.flush()
                os.fsync(out.fileno())
            beside.replace(self._path)
        except OSError as error:
            log.warning("alerts cannot be saved in %s: %s", self._path, error)
            return
        self._saved = revision


class Webhook:
    """Posts alerts that ask for it to one address, as JSON with a `text`, as Slack, Mattermost and Teams read it.

    `may_post` says by the name of a viewer whether its alerts are posted; by default all are.
    """

    def __init__(
        self,
        address: str,
        symbol: Callable[[str], tuple[str, str]],
        may_post: Callable[[str], bool] = lambda _viewer: True,
    ) -> None:
        self._address = address
        self._symbol = symbol
        self._may_post = may_post
        self._waiting: queue.Queue[Fired | None] = queue.Queue(WAITING_MOST)
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)
        self.failures = 0

    def start(self) -> None:
        """Start posting."""
        self._thread.start()

    def stop(self) -> None:
        """Post waiting alerts, for at most five seconds."""
        self._waiting.put(None)
        self._thread.join(5)

    def fired(self, alert: Fired) -> None:
        """Post an alert soon, if its rule asks for it; return at once. Beyond `WAITING_MOST` they are dropped, and counted."""
        if not alert.rule.webhook or not self._may_post(alert.viewer):
            return
        try:
            self._waiting.put_nowait(alert)
        except queue.Full:
            self.failures += 1

    def body(self, alert: Fired) -> dict[str, Any]:
        """Return what is posted."""
        symbol = self._symbol(alert.rule.key)[0]
        at = datetime.fromtimestamp(alert.at_ms / 1000, UTC).astimezone(IST)
        return {
            "text": f"{symbol}: {alert.words} at {at:%H:%M:%S} IST",
            "instrument": alert.rule.key,
            "symbol": symbol,
            "kind": alert.rule.kind,
            "value": alert.rule.value,
            "price": alert.price,
            "time": at.isoformat(timespec="milliseconds"),
        }

    def _run(self) -> None:
        while (alert := self._waiting.get()) is not None:
            self._post(orjson.dumps(self.body(alert)))

    def _post(self, body: bytes) -> None:
        request = urllib.request.Request(self._address, body, {"Content-Type": "application/json"})
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS):
                    return
            except OSError as error:
                if attempt == ATTEMPTS:
                    self.failures += 1
                    log.warning("an alert could not be posted to the webhook after %d attempts: %s", ATTEMPTS, error)
