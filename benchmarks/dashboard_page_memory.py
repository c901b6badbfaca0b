"""Measure the memory of a page that is left open: `python benchmarks/dashboard_page_memory.py --url … --minutes 20`.

Every minute, after a garbage collection: JavaScript heap, DOM nodes and listeners, for the chart and for the footprint.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any
from urllib.parse import urlencode

from dashboard_screenshots import open_page

MODES = ("chart", "footprint")


def sample(driver: Any) -> tuple[float, int, int]:
    """Return the JavaScript heap in MB after a collection, the document's nodes, and the listeners."""
    driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    metrics = {metric["name"]: metric["value"] for metric in driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]}
    return metrics["JSHeapUsedSize"] / 1e6, int(metrics["Nodes"]), int(metrics["JSEventListeners"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8050")
    parser.add_argument("--minutes", type=float, default=20)
    options = parser.parse_args()
    pages = {mode: open_page(f"{options.url}/?{urlencode({'mode': mode})}", 1440, 860) for mode in MODES}
    try:
        for driver in pages.values():
            driver.execute_cdp_cmd("Performance.enable", {})
        print("minute  mode       heap MB  nodes  listeners  candles")
        start = time.monotonic()
        while (passed := (time.monotonic() - start) / 60) <= options.minutes:
            for mode, driver in pages.items():
                heap, nodes, listeners = sample(driver)
                candles = driver.execute_script("return orderflow.rows.x.length")
                print(f"{passed:6.1f}  {mode:9}  {heap:7.1f}  {nodes:5}  {listeners:9}  {candles:7}", flush=True)
            time.sleep(60)
    finally:
        for driver in pages.values():
            driver.quit()
    return 0


if __name__ == "__main__":
    sys.exit(main())
