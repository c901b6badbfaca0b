"""Real-time order flow for Indian markets: Upstox V3 feed, Kafka, Spark, HDFS, Dash."""

__version__ = "0.1.0"
