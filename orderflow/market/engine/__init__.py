"""The candle engine: one instrument's ticks, folded in order, into final minutes with their footprint.

`partition.PartitionEngine` takes the records of one Kafka partition; `instrument.InstrumentMinutes` folds one instrument;
`volume_axis.VolumeAxis` knows where minutes begin and end on the axis of cumulative volume; `minute.minute_candle` computes a
candle from its stretch of that axis; `windows.WindowRollUp` combines minutes; `state` writes and reads all of it.
docs/decisions/0012 says when a minute is final.
"""
