"""Stored days for research: `History.connect("http://namenode:50070").ticks("NSE_EQ|INE467B01029", "2025-12-15")`.

See docs/HISTORY.md.
"""

from __future__ import annotations

from orderflow.lake.history import History
from orderflow.lake.layout import CANDLES, FOOTPRINT, TICKS

__all__ = ["CANDLES", "FOOTPRINT", "TICKS", "History"]
