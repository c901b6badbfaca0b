"""Sources of the dashboard's data: Kafka, the archive of past days, the directory of instruments."""
