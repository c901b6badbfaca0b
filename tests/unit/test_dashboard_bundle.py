"""The vendored plotly.js bundle against the Python package and the figures it has to draw."""

from __future__ import annotations

import re
from pathlib import Path

import plotly

from orderflow.dashboard.web.files import PAGE, PLOTLY

WHOLE = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
TRACES_OF_FINANCE = {
    "bar",
    "candlestick",
    "funnel",
    "funnelarea",
    "histogram",
    "indicator",
    "ohlc",
    "pie",
    "scatter",
    "waterfall",
}


def version(bundle: Path) -> str:
    match = re.search(r"plotly\.js (?:\(finance - minified\) )?v([\d.]+)", bundle.read_text(encoding="utf-8")[:200])
    assert match is not None
    return match[1]


def test_bundle_when_vendored_has_the_version_of_the_python_package() -> None:
    assert version(PLOTLY) == version(WHOLE)


def test_figures_when_drawn_need_only_traces_of_the_vendored_bundle() -> None:
    types = set(re.findall(r'type: "(\w+)"', (PAGE / "figure.js").read_text()))
    assert {"candlestick", "bar", "scatter"} <= types
    assert types - {"rect"} <= TRACES_OF_FINANCE


def test_bundle_when_vendored_comes_with_its_licence() -> None:
    assert "Permission is hereby granted" in (PLOTLY.parent / "LICENSE.plotly").read_text()
