"""Faults that a test can inject into a handshake or an open connection."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from enum import Enum

from websockets.asyncio.connection import Connection


class Outcome(Enum):
    """How a handshake ends."""

    STATUS = "status"
    RESET = "reset"
    SILENCE = "silence"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class HandshakeFault:
    """One handshake's fate: an HTTP status, a TCP reset, no answer at all, or accepted and closed with a code."""

    outcome: Outcome
    code: int = 0


def reset(connection: Connection) -> None:
    """End the connection with a TCP reset, as a crashed peer or a middlebox does."""
    raw = connection.transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.transport.abort()
