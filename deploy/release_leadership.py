"""Removes a dead Spark master from the election of a leader: `release_leadership.py DIRECTORY`.

A master that was killed stays leader in ZooKeeper's election until its session expires (15 s), even after a restart of
ZooKeeper. One launcher starts the stack's one master, so every other participant in the election is gone.
"""

import logging
import sys

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
from kazoo.handlers.threading import KazooTimeoutError

from orderflow.settings import load


def main(directory: str) -> None:
    """Delete the candidates below DIRECTORY/leader_election; without ZooKeeper say so, and leave it to the time-out.

    The directories are made here and belong to this login, if it has one: Spark makes its nodes open to all, but only the
    owner of their parent adds and removes them.
    """
    logging.getLogger("kazoo").setLevel(logging.CRITICAL)
    client = KazooClient(**load().zookeeper.kazoo(), timeout=5)
    election = f"{directory}/leader_election"
    try:
        client.start(timeout=10)
        for path in (election, f"{directory}/master_status"):
            client.ensure_path(path)
        for candidate in client.get_children(election):
            client.delete(f"{election}/{candidate}")
    except (KazooException, KazooTimeoutError) as error:
        print(f"the last master's leadership will expire by itself: {error!r}", file=sys.stderr)
    finally:
        client.stop()
        client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
