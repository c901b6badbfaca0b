import pytest

from orderflow.market import records
from orderflow.market.candle import Candle
from orderflow.market.errors import DecodeError
from orderflow.market.times import iso_from_ms, ms_from_iso
from orderflow.market.trade import Trade

OPEN_MS = 1_765_770_300_000

CANDLE_RECORD = {
    "window_start": "2025-12-15T09:15:00+05:30",
    "window_end": "2025-12-15T09:16:00+05:30",
    "instrument": "NSE_EQ|INE467B01029",
    "open": 3220.0,
    "high": 3224.5,
    "low": 3219.1,
    "close": 3221.0,
    "buy_volume": 700,
    "sell_volume": 250,
    "total_volume": 1000,
    "delta": 450,
    "tbq": 91000,
    "tsq": 88000,
    "window_minutes": 1,
    "unclassified_volume": 50,
    "tick_volume": 990,
    "vwap": 3221.7,
    "tick_count": 41,
    "min_delta": -20,
    "max_delta": 460,
    "imbalance": 0.4736842105263158,
    "delta_band": 120.5,
    "confidence": "high",
    "exchange_bar": True,
    "gap": False,
    "tick_open": 3220.0,
    "tick_high": 3224.4,
    "tick_low": 3219.1,
    "tick_close": 3221.0,
    "tick_buy_volume": 690,
    "tick_sell_volume": 250,
    "source": "stream",
    "final_by": "complete",
    "auction_volume": 0,
    "session_phase": "continuous",
}

TRADE_RECORD = {
    "instrument_key": "NSE_EQ|INE467B01029",
    "trade_id": "NSE_EQ|INE467B01029:2025-12-15:1000",
    "event_time_ms": OPEN_MS,
    "received_time_ms": OPEN_MS + 180,
    "price": 3220.5,
    "volume": 100,
    "buy_volume": 80,
    "sell_volume": 20,
    "unclassified_volume": 0,
    "side": "buy",
    "bid": 3220.0,
    "ask": 3220.5,
    "tbq": 91000,
    "tsq": 88000,
    "session_start_ms": OPEN_MS,
    "session_end_ms": OPEN_MS + 22_500_000,
    "gap": False,
}


def test_candle_record_when_read_and_written_then_same_fields_in_the_order_of_the_contract():
    record = Candle.from_record(CANDLE_RECORD).to_record()
    assert record == CANDLE_RECORD
    assert sorted(record) == sorted(records.names(records.CANDLE))
    assert tuple(record) == records.names(records.CANDLE)


def test_candle_from_record_when_optional_fields_are_absent_then_defaults():
    needed = ("window_start", "window_end", "instrument", "buy_volume", "sell_volume", "total_volume", "delta")
    candle = Candle.from_record({name: CANDLE_RECORD[name] for name in needed})
    assert (candle.start_ms, candle.end_ms) == (OPEN_MS, OPEN_MS + 60_000)
    assert (candle.open, candle.vwap, candle.min_delta, candle.gap) == (None, None, 0, False)


def test_candle_from_record_when_a_needed_field_is_missing_then_decode_error_names_it():
    with pytest.raises(DecodeError, match="instrument"):
        Candle.from_record({**CANDLE_RECORD, "instrument": None})


def test_iso_when_a_time_has_milliseconds_then_they_survive():
    assert iso_from_ms(OPEN_MS) == "2025-12-15T09:15:00+05:30"
    assert iso_from_ms(OPEN_MS + 7) == "2025-12-15T09:15:00.007+05:30"
    assert ms_from_iso("2025-12-15T09:15:00.007+05:30") == OPEN_MS + 7
    assert ms_from_iso("2025-12-15T03:45:00Z") == OPEN_MS


@pytest.mark.parametrize("text", ["2025-12-15T09:15:00", "soon", None])
def test_ms_from_iso_when_not_a_time_with_offset_then_decode_error(text):
    with pytest.raises(DecodeError, match="bad_time"):
        ms_from_iso(text)


def test_trade_record_when_read_and_written_then_same_fields_in_the_order_of_the_contract():
    trade = Trade.from_record(TRADE_RECORD)
    assert trade.delta == 60
    assert trade.to_record() == TRADE_RECORD
    assert tuple(trade.to_record()) == records.names(records.TRADE)


def test_trade_from_record_when_price_is_missing_then_decode_error_names_it():
    with pytest.raises(DecodeError, match="price"):
        Trade.from_record({**TRADE_RECORD, "price": None})
