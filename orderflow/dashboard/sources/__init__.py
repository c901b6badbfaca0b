"""Where it comes from: Kafka, the archive of past days, the directory of instruments."""
