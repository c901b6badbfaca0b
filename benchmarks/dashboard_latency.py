"""Measure the time from a feed message's receipt by the streamer to the browser's screen, with many viewers at once.

`python benchmarks/dashboard_latency.py --clients 20 --seconds 60` against a running dashboard (`make demo`). One viewer is
Chromium and reports when each trade of its instrument was drawn; the others speak the page's protocol, so that the
measurement is not of browsers. Clocks: streamer, dashboard and browser share this machine's clock.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import websockets

WARM_UP_SECONDS = 8.0
ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1440,900"
)


@dataclass
class Tally:
    """What the protocol's viewers saw."""

    latencies: list[float] = field(default_factory=list)
    messages: int = 0
    bytes: int = 0


def quantiles(samples: list[float]) -> str:
    if not samples:
        return "no samples"
    ordered = sorted(samples)
    named = {share: ordered[min(int(len(ordered) * share / 100), len(ordered) - 1)] for share in (50, 95, 99)}
    return "  ".join(f"p{share} {value:7.1f} ms" for share, value in named.items()) + f"  ({len(ordered)} trades)"


async def view(address: str, instrument: str, mode: str, until: float, counted_from: float, tally: Tally) -> None:
    async with websockets.connect(address, max_size=None) as socket:
        await socket.send(json.dumps({"type": "view", "instrument": instrument, "mode": mode}))
        while time.time() < until:
            try:
                text = await asyncio.wait_for(socket.recv(), 1.0)
            except TimeoutError:
                continue
            now_ms = time.time() * 1000
            message = json.loads(text)
            if now_ms / 1000 >= counted_from:
                tally.messages += 1
                tally.bytes += len(text)
                tally.latencies += [now_ms - received for received in message.get("rx", ())]
            if "seq" in message:
                await socket.send(json.dumps({"type": "ack", "seq": message["seq"]}))


async def viewers(
    url: str, instruments: list[str], count: int, mode: str, until: float, counted_from: float, tally: Tally
) -> None:
    address, of = url.replace("http", "ws", 1) + "/ws", len(instruments)
    await asyncio.gather(*(view(address, instruments[i % of], mode, until, counted_from, tally) for i in range(count)))


def open_browser(url: str) -> Any:
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    for argument in ARGUMENTS.split():
        options.add_argument(argument)
    service = Service("/usr/bin/chromedriver") if Path("/usr/bin/chromedriver").exists() else Service()
    driver = webdriver.Chrome(options=options, service=service)
    driver.get(url)
    return driver


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8050")
    parser.add_argument("--clients", type=int, default=20, help="viewers in all, one of them Chromium")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--mode", choices=("chart", "footprint"), default="chart", help="what all viewers look at")
    parser.add_argument("--no-browser", action="store_true", help="only viewers that speak the protocol")
    options = parser.parse_args()
    with urllib.request.urlopen(f"{options.url}/api/instruments", timeout=10) as answer:
        instruments = [listing["key"] for listing in json.load(answer)]
    if not instruments:
        print(f"{options.url} shows no instrument yet; start a feed first (make demo)", file=sys.stderr)
        return 1
    driver = None if options.no_browser else open_browser(f"{options.url}/?mode={options.mode}")
    tally = Tally()
    counted_from = time.time() + WARM_UP_SECONDS
    until = counted_from + options.seconds
    others = options.clients if driver is None else options.clients - 1

    async def run() -> None:
        watching = asyncio.create_task(viewers(options.url, instruments, others, options.mode, until, counted_from, tally))
        await asyncio.sleep(max(counted_from - time.time(), 0))
        if driver is not None:
            await asyncio.to_thread(driver.execute_script, "orderflow.latency.samples.length = 0")
        await asyncio.sleep(max(until - time.time(), 0))
        await watching

    try:
        asyncio.run(run())
        print(f"{len(instruments)} instruments, {options.clients} viewers of the {options.mode}, {options.seconds:g} s")
        if driver is not None:
            print("receipt to screen (Chromium)  ", quantiles(driver.execute_script("return orderflow.latency.samples")))
        print("receipt to protocol viewers   ", quantiles(tally.latencies))
        if others:
            rate, size = tally.messages / options.seconds / others, tally.bytes / max(tally.messages, 1)
            print(f"messages per viewer {rate:.1f} a second, {size:.0f} bytes each")
    finally:
        if driver is not None:
            driver.quit()
    return 0


if __name__ == "__main__":
    sys.exit(main())
