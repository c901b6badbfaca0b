"""The instruments of the market model: real keys for well-known names, and invented ones."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from orderflow.market.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Instrument:
    """One instrument; prices in paise, `weight` is its share of the index."""

    key: str
    trading_symbol: str
    name: str
    exchange_token: str
    tick_paise: int
    start_paise: int
    typical_order: int
    lot_size: int = 1
    weight: float = 0.0
    instrument_type: str = "EQ"
    derivatives: bool = True

    @property
    def segment(self) -> str:
        """Return the part before the bar, for example NSE_EQ."""
        return self.key.partition("|")[0]

    @property
    def is_index(self) -> bool:
        """Return whether this is an index, which has no book and no volume."""
        return self.segment.endswith("_INDEX")

    def master_row(self) -> dict[str, object]:
        """Return the row of the instrument master, with the field names of Upstox's file (tick_size in paise)."""
        row: dict[str, object] = {
            "segment": self.segment,
            "name": self.name,
            "exchange": self.segment.partition("_")[0],
            "instrument_type": self.instrument_type,
            "instrument_key": self.key,
            "exchange_token": self.exchange_token,
            "trading_symbol": self.trading_symbol,
            "short_name": self.name.title(),
        }
        if not self.is_index:
            row |= {
                "isin": self.key.partition("|")[2],
                "lot_size": self.lot_size,
                "freeze_quantity": 100000.0,
                "tick_size": float(self.tick_paise),
                "qty_multiplier": 1.0,
                "security_type": "NORMAL",
            }
        return row

    def future_row(self) -> dict[str, object]:
        """Return the master's row of a future on this instrument, which shows the streamer that the stock has derivatives."""
        segment = f"{self.segment.partition('_')[0]}_FO"
        return {
            "segment": segment,
            "name": self.name,
            "exchange": self.segment.partition("_")[0],
            "instrument_type": "FUT",
            "instrument_key": f"{segment}|SIM{self.exchange_token}",
            "exchange_token": f"SIM{self.exchange_token}",
            "trading_symbol": f"{self.trading_symbol} FUT",
            "underlying_key": self.key,
        }


NIFTY: Final = Instrument("NSE_INDEX|Nifty 50", "NIFTY", "Nifty 50", "26000", 5, 2_600_000, 0, instrument_type="INDEX")

DEMO: Final = (
    Instrument("NSE_EQ|INE467B01029", "TCS", "TATA CONSULTANCY SERV LT", "11536", 10, 314_500, 18, weight=2.6),
    Instrument("NSE_EQ|INE040A01034", "HDFCBANK", "HDFC BANK LTD", "1333", 5, 99_800, 60, weight=13.1),
    Instrument("NSE_EQ|INE009A01021", "INFY", "INFOSYS LIMITED", "1594", 10, 156_200, 40, weight=4.6),
    Instrument("NSE_EQ|INE090A01021", "ICICIBANK", "ICICI BANK LTD.", "4963", 10, 137_400, 45, weight=8.6),
    Instrument("NSE_EQ|INE002A01018", "RELIANCE", "RELIANCE INDUSTRIES LTD", "2885", 10, 152_600, 50, weight=8.5),
    Instrument("NSE_EQ|INE062A01020", "SBIN", "STATE BANK OF INDIA", "3045", 5, 97_300, 70, weight=3.4),
    Instrument("NSE_EQ|INE154A01025", "ITC", "ITC LTD", "1660", 5, 40_250, 150, weight=3.4),
    Instrument("NSE_EQ|INE397D01024", "BHARTIARTL", "BHARTI AIRTEL LIMITED", "10604", 10, 209_400, 25, weight=4.8),
    Instrument("NSE_EQ|INE018A01030", "LT", "LARSEN & TOUBRO LTD.", "11483", 10, 404_700, 12, weight=4.0),
    NIFTY,
)


def _tick_paise(price_paise: int) -> int:
    """Return NSE's tick size for a price (circular of 2025): 1 paisa below 250 rupees up to 1 rupee above 10,000."""
    for below, tick in ((25_000, 1), (100_000, 5), (500_000, 10), (1_000_000, 50), (2_000_000, 100)):
        if price_paise < below:
            return tick
    return 500


def _made_up(key: str, symbol: str) -> Instrument:
    """Give any key a stable price and size, from a checksum of the key."""
    seed = zlib.crc32(key.encode())
    if key.partition("|")[0].endswith("_INDEX"):
        return Instrument(key, symbol, symbol, str(seed % 90_000), 5, 1_000_000 + seed % 4_000_000, 0, instrument_type="INDEX")
    price = 15_000 + seed % 400_000
    tick = _tick_paise(price)
    future = key.partition("|")[0].endswith("_FO")
    return Instrument(
        key,
        symbol,
        f"SIMULATED {symbol}",
        str(20_000 + seed % 70_000),
        tick,
        price - price % tick,
        10 + seed % 120,
        lot_size=25 * (1 + seed % 12) if future else 1,
        instrument_type="FUT" if future else "EQ",
        derivatives=False,
    )


def master(instruments: Iterable[Instrument], *, real_hours: bool) -> list[dict[str, object]]:
    """Return the rows of the instrument master. In `real_hours` stocks with derivatives have a future, and so a closing auction;
    a market that is moved or always open has none."""
    listed = list(instruments)
    futures = [each.future_row() for each in listed if real_hours and each.derivatives and not each.is_index]
    return [each.master_row() for each in listed] + futures


def choose(wanted: str) -> tuple[Instrument, ...]:
    """Return the instruments for a count (`200`) or a comma-separated list of keys; empty means the demo's ten.

    A list that begins with `+` comes on top of those ten. Keys that are not in the catalogue get a made-up price. Raises
    SettingsError for a count below 1 or a key without `|`.
    """
    text = wanted.strip()
    if not text:
        return DEMO
    if text.isdigit():
        count = int(text)
        if not 1 <= count <= 5000:
            raise SettingsError(f"SIM_INSTRUMENTS={text} is outside 1..5000; for example SIM_INSTRUMENTS=10")
        extra = range(count - len(DEMO))
        return DEMO[:count] + tuple(_made_up(f"NSE_EQ|INE9SIM{number:05d}", f"SIM{number:04d}") for number in extra)
    known = {instrument.key: instrument for instrument in DEMO}
    keys = dict.fromkeys(known if text.startswith("+") else ())
    keys |= dict.fromkeys(part.strip() for part in text.removeprefix("+").split(",") if part.strip())
    bad = [key for key in keys if not all(part.strip() for part in key.partition("|"))]
    if bad:
        raise SettingsError(f"SIM_INSTRUMENTS holds {bad[0]!r}, which is not a key; for example NSE_EQ|INE467B01029")
    return tuple(known.get(key) or _made_up(key, key.partition("|")[2].replace(" ", "").upper()) for key in keys)
