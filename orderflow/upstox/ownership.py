"""Own the instruments before they are streamed: wait for ZooKeeper, stand by while another streamer has them, or refuse."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from orderflow.clusters import ZooKeeperCluster
from orderflow.market.errors import OrderflowError
from orderflow.upstox.lease import InstrumentLeases

log = logging.getLogger(__name__)

NO_ZOOKEEPER: Final = "none"
_REFUSE_AFTER_SECONDS: Final = 12.0


class Ownership:
    """The instruments that this streamer owns, as `owner`; without ZooKeeper (`none`) every one that it is told to stream."""

    def __init__(self, zookeeper: ZooKeeperCluster, owner: str, *, standby: bool) -> None:
        self._zookeeper, self._standby = zookeeper, standby
        self.leases = None if zookeeper.hosts == NO_ZOOKEEPER else InstrumentLeases(zookeeper, owner)

    def take(self, keys: Sequence[str], stop: threading.Event, say: Callable[[str, str], None]) -> bool:
        """Own all of `keys`: wait for ZooKeeper, wait for another owner in standby; False when asked to stop meanwhile.

        `say` is told what is waited for, as a state and its cause. Raises OrderflowError when another streamer has some of
        them and this one is no standby; one that has just ended gets twelve seconds to lose them.
        """
        leases = self.leases
        if leases is None:
            return True
        reported = ""
        began = time.monotonic()
        while not stop.is_set():
            if not leases.connect(2.0):
                problem = f"ZooKeeper at {self._zookeeper} is not reachable; trying again until it is"
                began = time.monotonic()
            else:
                try:
                    taken = leases.acquire(keys)
                except OrderflowError as error:
                    log.warning("%s", error)
                    continue
                if not taken:
                    return True
                key, holder = next(iter(taken.items()))
                problem = f"{len(taken)} of {len(keys)} instruments are streamed already, for example {key} by {holder}"
                if not self._standby and time.monotonic() - began > _REFUSE_AFTER_SECONDS:
                    raise OrderflowError(
                        f"{problem}; stop that streamer, change INSTRUMENT, or set STANDBY=true to take over after it"
                    )
            if problem != reported:
                reported = problem
                log.warning("%s%s", problem, "; standing by" if self._standby else "")
            say("standby" if self._standby else "waiting for ZooKeeper", problem)
            stop.wait(0.5)
        return False

    def keep(self, keys: Iterable[str]) -> None:
        """Own `keys` again if ZooKeeper's session has expired. Raises OrderflowError when another streamer has one by now."""
        leases = self.leases
        if leases is None or not leases.lost.is_set():
            return
        leases.renew()
        taken = leases.acquire(keys)
        if taken:
            key, holder = next(iter(taken.items()))
            raise OrderflowError(
                f"the lease of {key} was lost to {holder}; this streamer ends so that no tick is published twice"
            )
        log.info("the leases are held again")

    def release(self, keys: Iterable[str]) -> None:
        """Let other streamers have `keys`."""
        if self.leases is not None:
            self.leases.release(keys)

    def close(self) -> None:
        """Let other streamers have everything."""
        if self.leases is not None:
            self.leases.close()
