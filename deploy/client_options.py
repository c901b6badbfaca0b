"""Print the settings' security options as Java properties, for programs that read files: `client_options.py kafka|spark`."""

import re
import sys
from collections.abc import Iterator, Mapping

from orderflow.market.errors import SettingsError
from orderflow.settings import Settings, load


def kafka_options(settings: Settings) -> dict[str, str]:
    """Return the options with which Kafka's command line tools log in."""
    return settings.kafka.java()


def spark_options(settings: Settings) -> dict[str, str]:
    """Return the options with which Spark's daemons, drivers and executors authenticate, and executors log in to HDFS."""
    return settings.spark.options() | settings.hdfs.spark()


def properties(options: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of a properties file."""
    for name, value in options.items():
        escaped = re.sub(r"[\\#!=:]", r"\\\g<0>", value).replace("\n", "\\n")
        yield f"{name}={escaped}"


if __name__ == "__main__":
    try:
        print(*properties({"kafka": kafka_options, "spark": spark_options}[sys.argv[1]](load())), sep="\n")
    except SettingsError as error:
        sys.exit(f"ERROR {error}")
