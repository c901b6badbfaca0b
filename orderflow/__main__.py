"""`python -m orderflow`: set-up and everything people do with the stored history."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from orderflow import logs, settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one sub-command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m orderflow", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("setup", help="create the Kafka topics").add_argument("what", choices=["topics"])
    again = commands.add_parser("reprocess", help="recompute a stored day from its ticks; show and apply the difference")
    again.add_argument("--date", required=True, help="trading date, YYYY-MM-DD")
    again.add_argument("--dry-run", action="store_true", help="only show the difference")
    chosen = parser.parse_args(arguments)
    told = settings.load()
    logs.configure(told.log_level, [told.access_token])
    if chosen.command == "setup":
        from orderflow.broker.setup import setup_topics

        setup_topics(told)
    elif chosen.command == "reprocess":
        from orderflow.reprocess import run

        return run(told, chosen.date, apply=not chosen.dry_run)
    return 0


if __name__ == "__main__":
    sys.exit(logs.exit_code(main))
