"""Measure how long an instrument's day takes to the screen once chosen: `python benchmarks/dashboard_select.py`.

Run it against a running dashboard with a day behind it (`make demo FEED_SESSION=2025-12-15 FEED_SPEED=20`, after 19 minutes). One
Chromium chooses each instrument in turn, in chart and footprint with the whole day, and then past days, first and again; a choice
is done when a frame with its candles has been drawn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import urllib.request

from dashboard_latency import open_browser

READY = """
const look = () => (window.orderflow && orderflow.stats && orderflow.rows ? arguments[0]() : setTimeout(look, 50));
look();
"""
CHOOSE = """
const [change, done] = [arguments[0], arguments[1]], began = performance.now();
orderflow.choose(change);
const look = () => {
  const { waiting, rows, chart } = orderflow;
  if (!waiting && rows && rows.x.length && chart.mode === orderflow.view.mode) {
    requestAnimationFrame(() => done([performance.now() - began, rows.x.length]));
  } else setTimeout(look, 4);
};
look();
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8050")
    parser.add_argument("--choices", type=int, default=20, help="instruments chosen in each round")
    options = parser.parse_args()
    with urllib.request.urlopen(f"{options.url}/api/instruments", timeout=10) as answer:
        listed = json.load(answer)
    keys = [listing["key"] for listing in listed][: options.choices]
    with urllib.request.urlopen(f"{options.url}/api/dates", timeout=30) as answer:
        dates = [date for date in json.load(answer) if date not in {listing["date"] for listing in listed}]
    if len(keys) < 2:
        print(f"{options.url} shows fewer than two instruments; choosing needs another one", file=sys.stderr)
        return 1
    driver = open_browser(f"{options.url}/?buffer=2000")
    driver.set_script_timeout(60)
    try:
        driver.execute_async_script(READY)
        rounds = {
            mode: [{"instrument": key, "mode": mode, "buffer": 2000, "date": None} for key in keys]
            for mode in ("chart", "footprint")
        }
        past = [{"instrument": key, "mode": "chart", "date": date} for date in dates[-1:] for key in keys]
        rounds |= {"past day, first": past, "past day, again": past}
        for name, changes in rounds.items():
            choices = [driver.execute_async_script(CHOOSE, change) for change in changes]
            if not choices:
                continue
            times = sorted(time for time, _ in choices)
            most = max(rows for _, rows in choices)
            shown = f"median {statistics.median(times):.0f} ms, slowest {times[-1]:.0f} ms"
            print(f"{name:16} {len(times)} choices, up to {most} candles: {shown}")
    finally:
        driver.quit()
    return 0


if __name__ == "__main__":
    sys.exit(main())
