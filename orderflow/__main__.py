"""`python -m orderflow`: set-up and everything people do with the stored history."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from orderflow import calendar_report, executor_archive, logs, replay
from orderflow.clusters import SparkCluster
from orderflow.dashboard.web import user_commands
from orderflow.lake import cli
from orderflow.settings import Settings, load


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one sub-command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m orderflow", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    setup = commands.add_parser(
        "setup", help="create the Kafka topics, their access control lists, or HDFS directories with owners"
    )
    setup.add_argument("what", choices=["topics", "acls", "directories"])
    setup.add_argument("--alter", action="store_true", help="also change existing topics: partitions and settings that differ")
    setup.set_defaults(run=_setup)
    login = commands.add_parser(
        "login",
        help="log in at Upstox and write the token file",
        description="Log in at Upstox and write UPSTOX_ACCESS_TOKEN_FILE, which a running streamer picks up. The token "
        "lasts until 03:30 IST. An Analytics Token lasts a year and needs no login: docs/DEPLOYMENT.md.",
    )
    login.add_argument("--no-browser", action="store_true", help="only print the address to open")
    login.add_argument("--paste", action="store_true", help="the browser is on another machine: paste the address it ends at")
    login.set_defaults(run=_login)
    user_commands.add_parser(commands)
    cli.add_parsers(commands)
    calendar_report.add_parser(commands)
    reprocess = commands.add_parser("reprocess", help="recompute a stored day from its ticks; show and apply the difference")
    reprocess.add_argument("--date", required=True, help="trading date, YYYY-MM-DD")
    reprocess.add_argument("--dry-run", action="store_true", help="only show the difference")
    reprocess.set_defaults(run=_reprocess)
    replay.add_parser(commands)
    executor_archive.add_parser(commands)
    rejects = commands.add_parser("rejects", help="list what was rejected and why; store what the present rules accept")
    rejects.add_argument("--replay", action="store_true", help="check rejected messages again and store the valid ones")
    rejects.add_argument("--local", action="store_true", help="run Spark inside this process instead of on the cluster")
    rejects.set_defaults(run=_rejects)
    options = parser.parse_args(arguments)
    settings = load()
    logs.configure(settings.log_level, [settings.access_token])
    options.lot_sizes = lambda keys: _lot_sizes(settings, keys)
    options.access_token = lambda: _access_token(settings)
    options.spark = lambda local: _spark(settings, options.command, local=local)
    return int(options.run(options, settings))


def _setup(arguments: argparse.Namespace, settings: Settings) -> int:
    from orderflow.broker.access import setup_acls
    from orderflow.broker.setup import setup_topics
    from orderflow.lake.access import setup_directories

    if arguments.what == "acls":
        setup_acls(settings.kafka)
    elif arguments.what == "directories":
        setup_directories(settings.hdfs)
    else:
        setup_topics(settings, alter=arguments.alter)
    return 0


def _login(arguments: argparse.Namespace, settings: Settings) -> int:
    from orderflow.upstox.login import login

    if arguments.paste:
        return login(settings, paste=lambda: input("> "))
    return login(settings, open_browser=(lambda _: None)) if arguments.no_browser else login(settings)


def _reprocess(arguments: argparse.Namespace, settings: Settings) -> int:
    from orderflow.reprocess import run

    return run(settings, arguments.date, apply=not arguments.dry_run)


def _rejects(arguments: argparse.Namespace, settings: Settings) -> int:
    from orderflow.rejects import run

    return run(settings, lambda: arguments.spark(arguments.local), replay=arguments.replay)


def _lot_sizes(settings: Settings, keys: Sequence[str]) -> dict[str, int]:
    """Return the lot sizes of some keys by the instrument master; those it does not have are left out."""
    from orderflow.upstox.instruments import load_master, master_cache

    master, warning = load_master(
        settings.instrument_master, master_cache(settings.spool_dir, settings.instrument_master), settings.ca_file, keys
    )
    if warning:
        print(warning, file=sys.stderr)
    rows = {} if master is None else master.by_key
    return {key: size for key in keys if key in rows and (size := rows[key].lot_size) is not None}


def _access_token(settings: Settings) -> str | None:
    from orderflow.upstox.token import TokenSource

    token = TokenSource(settings.access_token, settings.access_token_file).current()
    return None if token is None else token.value


def _spark(settings: Settings, name: str, *, local: bool) -> Any:
    from orderflow.processing.spark_session import spark_session

    return spark_session(
        replace(settings, spark=SparkCluster("local[2]")) if local else settings, f"orderflow-{name}", settings.session_cores
    )


if __name__ == "__main__":
    sys.exit(logs.exit_code(main))
