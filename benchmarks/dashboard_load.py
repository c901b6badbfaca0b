"""Measure the time to the page's first chart in Chromium: `python benchmarks/dashboard_load.py --url … --times 5`.

Each time a browser without a profile opens the page twice. The times are the page's own mark, in ms after the navigation began.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from typing import Any

from dashboard_screenshots import ARGUMENTS
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

MARK = "return (performance.getEntriesByName('orderflow.first_chart')[0] || {}).startTime"
PATIENCE_SECONDS = 60.0


def first_chart(driver: Any, url: str) -> float:
    """Open the page and return when its first chart was drawn."""
    driver.get(url)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (milliseconds := driver.execute_script(MARK)) is None:
        if time.monotonic() > deadline:
            raise SystemExit(f"{url} shows no chart within {PATIENCE_SECONDS:.0f} s")
        time.sleep(0.02)
    return float(milliseconds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8050")
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    options = Options()
    for argument in (*ARGUMENTS.split(), "--window-size=1440,900"):
        options.add_argument(argument)
    times: dict[str, list[float]] = {"cold": [], "cached": []}
    for _ in range(options.times):
        driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        try:
            for kind, measured in times.items():
                measured.append(first_chart(driver, options.url))
                print(f"{kind:6} {measured[-1]:6.0f} ms   load average {os.getloadavg()[0]:.1f}", flush=True)
        finally:
            driver.quit()
    for kind, measured in times.items():
        print(f"{kind:6} median {statistics.median(measured):.0f} ms, worst {max(measured):.0f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
