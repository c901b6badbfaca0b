"""Messages as stored in the topics, of the present and the previous version of each record. All values are invented."""

from __future__ import annotations

TICK_1 = (
    '{"schema_version":1,"instrument_key":"NSE_EQ|INE467B01029","kind":"update","sequence":10,"feed_time_ms":1765770380469,'
    '"received_time_ms":1765770380480,"event_time_ms":1765770380082,"trading_date":"2025-12-15","ltp":100.2,'
    '"ltt_ms":1765770380082,"ltq":2,"close_price":99.0,"vtt":1110,"atp":100.1,"tbq":1000,"tsq":2000,'
    '"bid":[{"price":100.1,"quantity":10},{"price":100.0,"quantity":20}],"ask":[{"price":100.2,"quantity":15}],'
    '"bar":{"start_ms":1765770300000,"open":99.8,"high":100.4,"low":99.7,"close":100.3,"volume":92,"close_vtt":1092,'
    '"open_vtt":1000,"late":false},"day_bar":{"open":99.8,"high":100.4,"low":99.7,"close":100.2,"volume":1110},'
    '"session_phase":"continuous","session_start_ms":1765770300000,"session_end_ms":1765792800000,"traded_volume":3,'
    '"prev_bid":100.0,"prev_ask":100.2,"prev_feed_time_ms":1765770379991,"prev_ltt_ms":1765770379706,"tick_direction":1,'
    '"gap":false,"auction":false}'
)
TICK_2 = (
    '{"schema_version":2,"instrument_key":"NSE_EQ|INE467B01029","kind":"update","sequence":10,"feed_time_ms":1765770380469,'
    '"received_time_ms":1765770380480,"event_time_ms":1765770380082,"trading_date":"2025-12-15","ltp":100.2,'
    '"ltt_ms":1765770380082,"ltq":2,"close_price":99.0,"vtt":1110,"atp":100.1,"tbq":1000,"tsq":2000,'
    '"bid":[{"price":100.1,"quantity":10},{"price":100.0,"quantity":20}],"ask":[{"price":100.2,"quantity":15}],'
    '"bar":{"start_ms":1765770300000,"open":99.8,"high":100.4,"low":99.7,"close":100.3,"volume":92},'
    '"day_bar":{"open":99.8,"high":100.4,"low":99.7,"close":100.2,"volume":1110},"session_phase":"continuous",'
    '"session_start_ms":1765770300000,"session_end_ms":1765792800000,"traded_volume":3,"prev_bid":100.0,"prev_ask":100.2,'
    '"prev_bid_quantity":10,"prev_ask_quantity":15,"prev_feed_time_ms":1765770379991,"prev_ltt_ms":1765770379706,'
    '"tick_direction":1,"streamer":"alpha"}'
)
AUCTION_TICK = (
    '{"schema_version":2,"instrument_key":"NSE_EQ|INE467B01029","kind":"update","sequence":4,"feed_time_ms":1765769700000,'
    '"received_time_ms":1765769700040,"event_time_ms":1765769700000,"trading_date":"2025-12-15","ltp":99.0,'
    '"ltt_ms":1765706398000,"close_price":99.0,"vtt":50000,"bid":[{"price":101.0,"quantity":10},{"price":null,"quantity":90}],'
    '"ask":[{"price":98.0,"quantity":15}],"segment_status":"PRE_OPEN_START","session_phase":"pre_open",'
    '"session_start_ms":1765770300000,"session_end_ms":1765792800000,"tick_direction":0,"streamer":"alpha",'
    '"indicative_price":99.55,"indicative_quantity":50000,"indicative_imbalance":-1200}'
)
HEARTBEAT_1 = (
    '{"schema_version":1,"instrument_key":"*","kind":"heartbeat","sequence":0,"feed_time_ms":1765770381000,'
    '"received_time_ms":1765770381010,"event_time_ms":1765770381000,"trading_date":"2025-12-15"}'
)
HEARTBEAT_2 = HEARTBEAT_1.replace('"schema_version":1', '"schema_version":2').replace("}", ',"streamer":"alpha"}')

CANDLE_1 = (
    '{"window_start":"2025-12-15T09:15:00+05:30","window_end":"2025-12-15T09:16:00+05:30","instrument":"NSE_EQ|INE467B01029",'
    '"open":99.8,"high":100.4,"low":99.7,"close":100.3,"buy_volume":62,"sell_volume":30,"total_volume":92,"delta":32,'
    '"tbq":1000,"tsq":2000,"window_minutes":1,"unclassified_volume":0,"tick_volume":80,"vwap":100.08,"tick_count":2,'
    '"min_delta":0,"max_delta":50,"imbalance":0.25,"delta_band":12.0,"confidence":"high","exchange_bar":true,"gap":false,'
    '"tick_open":100.0,"tick_high":100.2,"tick_low":100.0,"tick_close":100.2,"tick_buy_volume":50,"tick_sell_volume":30,'
    '"source":"stream"}'
)
CANDLE_2 = CANDLE_1.removesuffix("}") + ',"final_by":"complete","auction_volume":0,"session_phase":"continuous"}'

TRADE = (
    '{"instrument_key":"NSE_EQ|INE467B01029","trade_id":"NSE_EQ|INE467B01029:2025-12-15:1110","event_time_ms":1765770380082,'
    '"received_time_ms":1765770380480,"price":100.2,"volume":3,"buy_volume":3,"sell_volume":0,"unclassified_volume":0,'
    '"side":"buy","bid":100.0,"ask":100.2,"tbq":1000,"tsq":2000,"session_start_ms":1765770300000,'
    '"session_end_ms":1765792800000,"gap":false}'
)
LEVEL_1 = (
    '{"window_start":"2025-12-15T09:15:00+05:30","window_end":"2025-12-15T09:16:00+05:30",'
    '"instrument":"NSE_EQ|INE467B01029","price":10020,"buy_volume":50,"sell_volume":0,"unclassified_volume":0}'
)
LEVEL_2 = LEVEL_1.removesuffix("}") + ',"price_unit":100}'
LEVEL_CURRENCY = (
    LEVEL_2.replace("NSE_EQ|INE467B01029", "NCD_FO|14366")
    .replace('"price":10020', '"price":904275')
    .replace('"price_unit":100', '"price_unit":10000')
)
EVENT_1 = (
    '{"event":"gap","at_ms":1765770381000,"instrument_key":"NSE_EQ|INE467B01029","from_ms":1765770360000,'
    '"to_ms":1765770380000,"cause":"connection lost","volume":40,"detail":null}'
)
EVENT_2 = EVENT_1.removesuffix("}") + ',"streamer":"alpha"}'
REJECT_1 = '{"reason":"bad_json","source":"upstox_ticks[0]@7","received_time_ms":1765770381000,"payload":"ew=="}'
REJECT_2 = REJECT_1.removesuffix("}") + ',"key":"Kg==","topic_id":"1f2e3d4c"}'

STATE_1 = (
    '{"state":{"instrument_key":"NSE_EQ|INE467B01029","trading_date":"2025-12-15","sequence":10,"vtt":1110,"ltp":100.2,'
    '"ltt_ms":1765770380082,"bid":100.1,"ask":100.2,"feed_time_ms":1765770380469,"tick_direction":1,"in_session":true,'
    '"bar_start_ms":1765770300000,"day_bar":[99.8,100.4,99.7,100.2,1110],"chain":{"end_ms":1765770360000,"low":1092,'
    '"high":1092,"value":1092,"minutes":[],"strict":false}},"owner":"alpha"}'
)
STATE_2 = (
    '{"state":{"instrument_key":"NSE_EQ|INE467B01029","trading_date":"2025-12-15","sequence":10,"vtt":1110,"ltp":100.2,'
    '"ltt_ms":1765770380082,"bid":100.1,"ask":100.2,"bid_quantity":10,"ask_quantity":15,"feed_time_ms":1765770380469,'
    '"tick_direction":1,"in_session":true,"bar_start_ms":1765770300000,"day_bar":[99.8,100.4,99.7,100.2,1110],'
    '"volume_time_ms":1765770380469,"doubtful_vtt":null,"doubtful_ms":null},"owner":"alpha"}'
)
SEGMENT_1 = (
    '{"status":"NORMAL_OPEN","trading_date":"2025-12-15","opened_ms":null,"closed_ms":null,"extended":false,"waiting":false,'
    '"owner":"alpha"}'
)
SEGMENT_2 = (
    '{"version":2,"status":"NORMAL_OPEN","trading_date":"2025-12-15",'
    '"changes":[{"at_ms":1765770300000,"status":"NORMAL_OPEN"}],"carried":false,"unscheduled":false,"owner":"alpha"}'
)
POSITIONS = '{"positions":{"0":120,"1":0},"owner":"alpha"}'
