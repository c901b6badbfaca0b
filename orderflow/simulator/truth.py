"""What really traded, for tests: every trade with the side of its aggressor."""

from __future__ import annotations

import json
from pathlib import Path

from orderflow.market.errors import SettingsError


class TruthFile:
    """Write one JSON line per trade: instrument_key, time_ms, price, quantity, side, vtt (cumulative, this trade included).

    `side` is buy | sell (the aggressor), or auction | post_close, where there is none. A line is written, and with `flush`
    is in the file, before any feed message that contains the trade is sent.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", encoding="utf-8", buffering=1 << 20)
        except OSError as error:
            raise SettingsError(f"SIM_TRUTH={path} cannot be written: {error.strerror}; name a writable file") from error

    def write(self, key: str, time_ms: int, price: float, quantity: int, side: str, volume: int) -> None:
        """Add one trade."""
        self._file.write(
            f'{{"instrument_key":{json.dumps(key)},"time_ms":{time_ms},"price":{price},'
            f'"quantity":{quantity},"side":"{side}","vtt":{volume}}}\n'
        )

    def flush(self) -> None:
        """Hand everything written so far to the operating system."""
        if not self._file.closed:
            self._file.flush()

    def close(self) -> None:
        """Flush and close the file."""
        self._file.close()
