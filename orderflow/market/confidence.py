"""How certain a candle's delta is: the 95 % band, from the expected wrong shares of its updates, and its grade.

The constants were fitted on recordings with the true aggressor side; docs/MEASUREMENTS.md reports how often the band held.
"""

from __future__ import annotations

import math
from typing import Final

# Errors of neighbouring updates are correlated, so the plain variance is too small. This factor makes the band wide
# enough.
CLUSTERING: Final = 4.0
# Share of the volume traded against a one-sided quote that counts as doubtful. With it, a candle that has only such
# volume is never graded `high`.
ONE_SIDED_DOUBT: Final = 0.4
HIGH_AT_MOST: Final = 0.3
MEDIUM_AT_MOST: Final = 0.5


def band(sum_v2p: float) -> float:
    """Return the half-width of delta's 95 % band, in whole shares, from the sum of volume² × wrong share over its updates.

    Moving a share v of an update to the other side moves delta by 2 v, hence 2 √(CLUSTERING Σ v² p).
    """
    return float(math.floor(2.0 * math.sqrt(CLUSTERING * max(sum_v2p, 0.0)) + 0.5))


def grade(delta_band: float, volume: int, classified: int, one_sided: int = 0) -> str:
    """Return high, medium, low or none, by the possible error of delta as a share of `volume`.

    The possible error is the sum of the band, all volume that is not `classified`, and two fifths of the volume that traded
    while the quote was `one_sided` (a rule's error there does not average out). The grade is high up to 0.3 of the volume,
    medium up to 0.5, low above, and none when nothing is classified.
    """
    if classified <= 0 or volume <= 0:
        return "none"
    doubt = (delta_band + max(volume - classified, 0) + ONE_SIDED_DOUBT * one_sided) / volume
    if doubt <= HIGH_AT_MOST:
        return "high"
    return "medium" if doubt <= MEDIUM_AT_MOST else "low"
