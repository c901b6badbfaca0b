"""Run the simulated Upstox: `python -m orderflow.simulator`; every flag has an environment variable as its default."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import logging
import os
import signal
import sys
from pathlib import Path

from orderflow.market.errors import SettingsError
from orderflow.simulator import catalogue, certificates
from orderflow.simulator.market_model import MarketModel
from orderflow.simulator.replay import Recording
from orderflow.simulator.server import FEED_PATH, FeedServer
from orderflow.simulator.source import Source
from orderflow.simulator.truth import TruthFile

_FIRST_BEGIN, _LAST_BEGIN = dt.time(9, 16), dt.time(15, 10)

log = logging.getLogger("orderflow.simulator")


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; return 0, or 2 with one line on standard error for a bad setting."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["history"]:
        return _write_history(_history_parser().parse_args(given[1:]))
    options = _parser().parse_args(given)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("orderflow.simulator.websocket").setLevel(logging.CRITICAL)
    try:
        asyncio.run(_serve(options))
    except SettingsError as error:
        print(f"ERROR {error}", file=sys.stderr)
        return 2
    return 0


async def _serve(options: argparse.Namespace) -> None:
    truth = TruthFile(Path(options.truth)) if options.truth else None
    source = _source(options, truth)
    tls_dir = Path(options.tls_dir) if options.tls_dir else None
    if tls_dir is not None:
        log.info("certificate authority: %s", certificates.ensure(tls_dir))
    server = FeedServer(
        source,
        host=options.host,
        port=options.port,
        token=options.token or None,
        tls=certificates.server_context(tls_dir) if tls_dir else None,
    )
    if truth is not None:
        server.on_flush = truth.flush
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await server.open()
    scheme = "wss" if tls_dir else "ws"
    log.info("serving %d instruments at %s://%s:%d%s", len(source.keys), scheme, options.host, server.port, FEED_PATH)
    try:
        await _until(stopping, server)
    finally:
        await server.close()
        if truth is not None:
            truth.close()


async def _until(stopping: asyncio.Event, server: FeedServer) -> None:
    """Wait for the signal, and fail with the source should it fail."""
    stop = asyncio.create_task(stopping.wait())
    ended = asyncio.create_task(server.finish())
    try:
        await asyncio.wait({stop, ended}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            ended.result()
        await stop
    finally:
        for task in (stop, ended):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _source(options: argparse.Namespace, truth: TruthFile | None) -> Source:
    if options.speed <= 0:
        raise SettingsError(f"SIM_SPEED={options.speed} must be above 0; for example SIM_SPEED=20")
    for name, valid in (("times", ("original", "now")), ("wait", ("0", "1"))):
        if getattr(options, name) not in valid:
            raise SettingsError(f"SIM_{name.upper()}={getattr(options, name)!r} is not one of {', '.join(valid)}")
    if options.recording:
        return Recording.open(Path(options.recording), speed=options.speed, times=options.times, wait=options.wait == "1")
    if not 0 < options.rate <= 50:
        raise SettingsError(f"SIM_RATE={options.rate} is outside 0..50 updates a second; for example SIM_RATE=2")
    date, begin = _session(options.session)
    if date is None and options.speed != 1:
        raise SettingsError("SIM_SPEED other than 1 needs a session with an end; for example SIM_SESSION=2025-12-15")
    return MarketModel(
        catalogue.choose(options.instruments),
        seed=options.seed,
        updates_per_second=options.rate,
        date=date,
        begin=begin,
        speed=options.speed,
        times=options.times,
        wait=options.wait == "1",
        sink=truth.write if truth else None,
    )


def _session(text: str) -> tuple[dt.date | None, dt.time | None]:
    """Return the date of a session, None when it is live, and the time at which it begins, None for its own."""
    if text == "live":
        return None, None
    day, _, time = text.partition("T")
    try:
        date, begin = dt.date.fromisoformat(day), dt.time.fromisoformat(time) if time else None
    except ValueError:
        raise SettingsError(
            f"SIM_SESSION={text!r} is neither live nor a date; for example SIM_SESSION=2025-12-15, or 2025-12-15T13:00"
        ) from None
    if begin is not None and not _FIRST_BEGIN <= begin < _LAST_BEGIN:
        raise SettingsError(f"SIM_SESSION={text!r} begins outside 09:16 to 15:10; for example SIM_SESSION=2025-12-15T13:00")
    return date, begin


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m orderflow.simulator", description="A stand-in for Upstox's market-data services."
    )

    def option(name: str, default: str, text: str, **more: object) -> None:
        variable = f"SIM_{name.upper().replace('-', '_')}"
        value = os.environ.get(variable, "").strip() or default
        parser.add_argument(f"--{name}", default=value, help=f"{text} [{variable}, default {default or 'none'}]", **more)  # type: ignore[arg-type]

    option("host", "127.0.0.1", "address to bind; plain ws:// only on loopback")
    option("port", "8765", "port; 0 takes a free one", type=int)
    option("recording", "", "replay this file instead of the market model")
    option("speed", "1", "times real time", type=float)
    option("times", "original", "event times: original, or shifted to now")
    option("wait", "1", "1: a recording or dated session starts when somebody has subscribed")
    option("seed", "1", "seed of the market model", type=int)
    option("instruments", "", "a count, or comma-separated keys; with a leading +, in addition to the default ones")
    option("rate", "2", "updates per second and instrument, up to 50", type=float)
    option("session", "live", "live: open now; or a date, for its whole session; 2025-12-15T13:00 for the rest of it")
    option("token", "", "access token to accept; if not set, any is accepted")
    option("tls-dir", "", "directory for the certificate authority (ca.pem) and certificate; switches TLS on")
    option("truth", "", "write every trade with its aggressor side to this file")
    return parser


def _history_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m orderflow.simulator history", description="Write synthetic tick records as Parquet, for benchmarks."
    )
    parser.add_argument("--days", type=int, default=21, help="weekdays (default 21, about a month)")
    parser.add_argument("--instruments", default="50", help="a count, or comma-separated keys (default 50)")
    parser.add_argument("--rate", type=float, default=1.0, help="updates per second and instrument (default 1)")
    parser.add_argument("--last-day", type=dt.date.fromisoformat, default=dt.date(2025, 12, 31), help="default 2025-12-31")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="directory; files go to date=YYYY-MM-DD below it")
    return parser


def _write_history(options: argparse.Namespace) -> int:
    from orderflow.simulator import history

    try:
        instruments = catalogue.choose(options.instruments)
        for line in history.write(options.out, instruments, options.last_day, options.days, options.rate, options.seed):
            print(line, flush=True)
    except (SettingsError, OSError) as error:
        print(f"ERROR {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
