"""Builds records of the rejects topic: an input that could not be used, and the reason."""

from __future__ import annotations

import base64
from typing import Any, Final

_PAYLOAD_BYTES: Final = 512 << 10


def reject_record(reason: str, source: str, received_ms: int, payload: bytes) -> dict[str, Any]:
    """Return a records.REJECT; `source` is `feed`, `spool` or topic[partition]@offset."""
    return {
        "reason": reason,
        "source": source,
        "received_time_ms": received_ms,
        "payload": base64.b64encode(payload[:_PAYLOAD_BYTES]).decode(),
        "key": None,
        "topic_id": None,
    }
