#!/usr/bin/env bash
# Kafka's own command line tool, on the stack's broker: print a topic.
. "$(dirname "$(readlink -f "$0")")/../deploy/env.sh"
kafka_tool org.apache.kafka.tools.consumer.ConsoleConsumer "$@"
