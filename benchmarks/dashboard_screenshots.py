"""Take the pictures of README and docs from a running dashboard: `python benchmarks/dashboard_screenshots.py --url …`.

Run it against a real stack (`make demo`) once some minutes of candles are there.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars"
)
READY = "return !!(window.orderflow && orderflow.stats && document.querySelector('#of-chart .plot-container'))"
SETTLE_SECONDS = 6.0
FULL = (
    "return !orderflow.waiting && !orderflow.older.asking && orderflow.rows.x.length > 0"
    " && document.querySelectorAll('#of-tape tbody tr').length > 10"
    " && document.querySelectorAll('#of-depth tr.bid:not(.none)').length > 0"
)
IN_VIEW = (
    "const { mode, cells } = orderflow.chart.state, [bottom, top] = orderflow.plot().price.range;"
    "const whole = cells.slice(-16).filter(({ low, high }) => low >= bottom && high <= top).length;"
    "const levels = cells.reduce((sum, cell) => sum + cell.levels.length, 0);"
    "return mode === 'footprint' ? whole + Math.min(levels, 999) / 1000 : -1"
)
TRIED_MOST = 12


def open_page(url: str, width: int, height: int) -> Any:
    options = Options()
    for argument in (*ARGUMENTS.split(), f"--window-size={width},{height}"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    driver.get(url)
    deadline = time.monotonic() + 90
    while not driver.execute_script(READY):
        if time.monotonic() > deadline:
            driver.quit()
            raise SystemExit(f"{url} shows no chart within 90 s; is a feed running?")
        time.sleep(0.1)
    return driver


def wait_full(driver: Any, seconds: float = 15) -> bool:
    """Wait until the chosen view has come with depth and trades; say whether it did."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if driver.execute_script(FULL):
            return True
        time.sleep(0.2)
    return False


def tightest(url: str) -> str:
    """Return the instrument whose footprint shows the most whole columns at once, of the first few that trade."""
    driver = open_page(f"{url}/?mode=footprint", 1440, 860)
    try:
        scores: dict[str, float] = {}
        for key in driver.execute_script("return orderflow.instruments.map((one) => one.key)")[:TRIED_MOST]:
            driver.execute_script("orderflow.choose({instrument: arguments[0]})", key)
            if wait_full(driver, 5):
                time.sleep(0.5)
                scores[key] = driver.execute_script(IN_VIEW)
        return max(scores, key=lambda key: scores[key]) if scores else ""
    finally:
        driver.quit()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8050")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--instrument", default="", help="a key; else the one whose footprint shows most")
    parser.add_argument("--date", default="", help="a past day in HDFS, for its picture")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    instrument = options.instrument or tightest(options.url)
    far = "orderflow.zoomTime(2.6, Infinity)"
    pictures: list[tuple[str, int, int, dict[str, str], str]] = [
        ("dashboard", 1440, 860, {}, ""),
        ("footprint", 1440, 860, {"mode": "footprint"}, ""),
        ("footprint-delta", 1440, 860, {"mode": "footprint", "cells": "delta"}, ""),
        ("footprint-far", 1440, 860, {"mode": "footprint"}, far),
        ("phone", 412, 915, {}, ""),
        ("colour-blind", 1440, 860, {"palette": "safe"}, ""),
    ]
    if options.date:
        pictures.append(("past-day", 1440, 860, {"date": options.date, "buffer": "375"}, ""))
    for name, width, height, query, script in pictures:
        if instrument:
            query["instrument"] = instrument
        driver = open_page(f"{options.url}/?{urlencode(query)}", width, height)
        try:
            wait_full(driver)
            driver.execute_script(script)
            time.sleep(SETTLE_SECONDS)
            driver.save_screenshot(str(options.out / f"{name}.png"))
        finally:
            driver.quit()
        print(options.out / f"{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
