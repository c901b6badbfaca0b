"""The sub-commands of `python -m orderflow` that work on stored days."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from orderflow.settings import WINDOW_MINUTES, Settings

EPILOG = "Dates are trading dates in India, YYYY-MM-DD."


def add_parsers(commands: Any) -> None:
    """Add `lake`, `export`, `backfill` and `reconcile`; each sets `run`, which takes the arguments and the settings."""
    _add_lake(commands.add_parser("lake", help="list, verify, compact or delete stored days", epilog=EPILOG))
    export = commands.add_parser("export", help="write stored rows to a CSV or Parquet file", epilog=EPILOG)
    export.add_argument("kind", choices=("ticks", "trades", "candles", "footprint"))
    export.add_argument("target", type=Path, help="the file; its suffix, .csv or .parquet, sets the format")
    _add_period(export)
    export.add_argument("-n", type=int, default=1, choices=WINDOW_MINUTES, help="minutes of a candle")
    export.add_argument("--lots", action="store_true",
                        help="volumes in lots, with the lot sizes of today's instrument master; not for ticks")  # fmt: skip
    export.set_defaults(run=_export)
    backfill = commands.add_parser("backfill", help="store the exchange's candles of missed minutes", epilog=EPILOG)
    _add_period(backfill)
    backfill.add_argument("--dry-run", action="store_true", help="only report what is missing")
    backfill.add_argument("--local", action="store_true", help="if Spark is needed, run it inside this process")
    backfill.set_defaults(run=_backfill)
    reconcile = commands.add_parser("reconcile", help="compare stored candles with the exchange's", epilog=EPILOG)
    _add_period(reconcile)
    reconcile.add_argument("--limit", type=int, default=20, help="differences shown for each instrument and date")
    reconcile.set_defaults(run=_reconcile)


def _add_lake(lake: argparse.ArgumentParser) -> None:
    lake.set_defaults(run=_catalogue)
    actions = lake.add_subparsers(dest="action")
    verify = actions.add_parser("verify", help="verify one date; exit code 1 when anything is missing, duplicated or wrong")
    verify.add_argument("--date", required=True)
    verify.set_defaults(run=_verify)
    compact = actions.add_parser("compact", help="merge a date's files into few, sorted by instrument and time")
    compact.add_argument("--date", required=True)
    compact.add_argument("--local", action="store_true", help="run Spark inside this process instead of on the cluster")
    compact.set_defaults(run=_compact)
    retain = actions.add_parser("retain", help="delete the oldest dates")
    retain.add_argument("--days", type=int, help="keep dates younger than so many days")
    retain.add_argument("--gigabytes", type=float, help="keep the newest dates that fit, replicas not counted")
    retain.add_argument("--dry-run", action="store_true", help="only list what would be deleted")
    retain.set_defaults(run=_retain)


def _add_period(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="first", required=True, help="first date")
    parser.add_argument("--to", dest="last", help="last date; default: the first")
    parser.add_argument("--instrument", action="append", help="instrument key, can be repeated; default: all stored instruments")


def _catalogue(_arguments: argparse.Namespace, settings: Settings) -> int:
    from orderflow.lake import day_commands

    return day_commands.catalogue(settings)


def _verify(arguments: argparse.Namespace, settings: Settings) -> int:
    from orderflow.lake import day_commands

    return day_commands.verify(settings, arguments.date)


def _compact(arguments: argparse.Namespace, settings: Settings) -> int:
    from orderflow.lake import day_commands

    return day_commands.compact(settings, arguments.date, arguments.spark(arguments.local))


def _retain(arguments: argparse.Namespace, settings: Settings) -> int:
    from orderflow.lake import day_commands

    keep_bytes = int(arguments.gigabytes * 1e9) if arguments.gigabytes is not None else None
    return day_commands.retain(settings, arguments.days, keep_bytes, dry_run=arguments.dry_run)


def _export(arguments: argparse.Namespace, settings: Settings) -> int:
    from orderflow.lake import day_commands

    return day_commands.export_period(
        settings,
        arguments.kind,
        arguments.instrument,
        arguments.first,
        arguments.last or arguments.first,
        arguments.target,
        arguments.n,
        arguments.lot_sizes if arguments.lots else None,
    )


def _backfill(arguments: argparse.Namespace, settings: Settings) -> int:
    from orderflow.lake import backfill

    last = arguments.last or arguments.first
    settings = replace(settings, access_token=arguments.access_token())
    return backfill.backfill(
        settings,
        arguments.instrument,
        arguments.first,
        last,
        dry_run=arguments.dry_run,
        spark=lambda: arguments.spark(arguments.local),
    )


def _reconcile(arguments: argparse.Namespace, settings: Settings) -> int:
    from orderflow.lake import backfill

    last = arguments.last or arguments.first
    settings = replace(settings, access_token=arguments.access_token())
    return backfill.report_differences(settings, arguments.instrument, arguments.first, last, limit=arguments.limit)
