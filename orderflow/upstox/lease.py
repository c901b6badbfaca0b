"""Ensures one owner per instrument, by an ephemeral ZooKeeper node for each, because two connections conflate differently."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException, NodeExistsError, NoNodeError
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.protocol.states import KazooState

from orderflow.clusters import ZooKeeperCluster
from orderflow.market.errors import OrderflowError

log = logging.getLogger(__name__)

ROOT: Final = "/orderflow/streamers"
_CALL_SECONDS: Final = 10.0
SESSION_SECONDS: Final = 6.0
"""A dead owner's nodes vanish after this, so a standby takes over within ten seconds."""


class InstrumentLeases:
    """Leases held in one ZooKeeper session, safe from several threads.

    `lost` is set when that session expired, and with it every lease.
    """

    def __init__(self, zookeeper: ZooKeeperCluster, owner: str) -> None:
        self._client = KazooClient(
            **zookeeper.kazoo(), timeout=SESSION_SECONDS, connection_retry={"max_tries": -1, "max_delay": 2.0}
        )
        self._client.add_listener(self._changed)
        self._hosts = zookeeper.hosts
        self._content = json.dumps(
            {"owner": owner, "host": socket.gethostname(), "pid": os.getpid(), "since": int(time.time())}
        ).encode()
        self._held: set[str] = set()
        self._closed = False
        self._live: threading.Event | None = None
        self._lock = threading.RLock()
        self.lost = threading.Event()

    def connect(self, timeout_seconds: float) -> bool:
        """Connect to ZooKeeper; return False when it does not answer in time (call again)."""
        if self._live is None:
            self._live = self._client.start_async()
        self._live.wait(timeout_seconds)
        return bool(self._client.connected)

    def acquire(self, keys: Iterable[str]) -> dict[str, str]:
        """Take all of `keys`, or none: return {} or, by key, who holds those that are taken.

        Raises OrderflowError when ZooKeeper stops answering.
        """
        try:
            with self._lock:
                return self._acquire(keys)
        except (KazooException, KazooTimeoutError) as error:
            raise OrderflowError(f"ZooKeeper at {self._hosts} stopped answering ({type(error).__name__})") from error

    def _acquire(self, keys: Iterable[str]) -> dict[str, str]:
        taken: dict[str, str] = {}
        fresh: list[str] = []
        for key in keys:
            if key in self._held:
                continue
            try:
                self._client.create_async(self._path(key), self._content, ephemeral=True, makepath=True).get(
                    timeout=_CALL_SECONDS
                )
                fresh.append(key)
            except NodeExistsError:
                holder = self._holder(key)
                if holder is not None:
                    taken[key] = holder
        self._held.update(fresh)
        if taken:
            self.release(fresh)
        return taken

    def release(self, keys: Iterable[str]) -> None:
        """Give leases back."""
        with self._lock:
            for key in self._held.intersection(keys):
                self._held.discard(key)
                try:
                    self._client.delete_async(self._path(key)).get(timeout=_CALL_SECONDS)
                except (NoNodeError, KazooException, KazooTimeoutError):
                    log.debug("the lease of %s no longer exists", key)

    def renew(self) -> None:
        """Start again after a lost session: nothing is held."""
        with self._lock:
            self._held.clear()
            self.lost.clear()

    def close(self) -> None:
        """Give everything back and disconnect."""
        self._closed = True
        try:
            self._client.stop()
            self._client.close()
        except (KazooException, KazooTimeoutError, OSError) as error:
            log.debug("zookeeper: %s", type(error).__name__)

    def _holder(self, key: str) -> str | None:
        try:
            content, stat = self._client.get_async(self._path(key)).get(timeout=_CALL_SECONDS)
        except NoNodeError:
            return "a streamer that has just ended"
        session = self._client.client_id[0] if self._client.client_id else None
        if session is not None and stat.ephemeralOwner == session:
            self._held.add(key)
            return None
        try:
            owner = json.loads(content)
            return f"{owner['owner']} (host {owner['host']}, process {owner['pid']})"
        except (ValueError, TypeError, KeyError):
            return f"something that is not a streamer (the node {self._path(key)})"

    def _changed(self, state: str) -> None:
        if self._closed:
            return
        if state == KazooState.LOST and self._held:
            log.error("the ZooKeeper session expired: the leases are lost")
            self.lost.set()
        elif state == KazooState.SUSPENDED:
            log.warning("ZooKeeper at %s does not answer; the leases stay valid until its session ends", self._hosts)
        elif state == KazooState.CONNECTED:
            log.info("connected to ZooKeeper at %s", self._hosts)

    @staticmethod
    def _path(key: str) -> str:
        return f"{ROOT}/{quote(key, safe='')}"
