"""The page's skeleton as Dash components; the modules in `page/` fill it from the viewers' socket."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dash import html

_INDEX: Final = """<!DOCTYPE html>
<html lang="en">
  <head>
    {%metas%}
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="dark light">
    <title>{%title%}</title>
    <link rel="icon" type="image/svg+xml" href="PAGE/favicon.svg">
    <link rel="stylesheet" href="PAGE/palette.css">
    <link rel="stylesheet" href="PAGE/style.css">
PRELOADS
    {%css%}
    <script src="PAGE/plotly.min.js" async></script>
    <script type="module" src="PAGE/main.js"></script>
  </head>
  <body>
    {%app_entry%}
    <footer>{%config%}{%scripts%}{%renderer%}</footer>
  </body>
</html>"""


def index(files: str, scripts: Iterable[str]) -> str:
    """Return the index page; `files` is the path of the page's files, `scripts` are its modules, to be fetched at once."""
    preloads = "\n".join(f'    <link rel="modulepreload" href="{files}/{name}">' for name in scripts)
    return _INDEX.replace("PRELOADS", preloads).replace("PAGE", files)


def page() -> html.Div:
    """Return the page: header, banners, watch list, chart, and the side panels."""
    return html.Div(
        id="of-page",
        children=[
            html.Header(id="of-header"),
            html.Div(id="of-banners", role="status", **{"aria-live": "polite"}),
            html.Main(
                id="of-main",
                children=[
                    _panel("of-watch", "Watch list"),
                    html.Section(
                        id="of-centre",
                        children=[
                            html.Div(id="of-legend"),
                            html.Div(id="of-chart", role="img", **{"aria-label": "Chart", "aria-describedby": "of-spoken"}),
                            html.P(id="of-spoken", className="unseen", **{"aria-live": "polite"}),
                            html.Div(id="of-replay"),
                            html.Div(id="of-tag", className="tag"),
                        ],
                    ),
                    html.Aside(
                        id="of-side",
                        children=[
                            _panel("of-stats", "Statistics"),
                            _panel("of-depth", "Depth"),
                            _panel("of-tape", "Time & sales"),
                        ],
                    ),
                ],
            ),
            html.Div(id="of-dialog"),
            html.Div(id="of-toasts", role="alert"),
        ],
    )


def _panel(identifier: str, title: str) -> html.Section:
    return html.Section(id=identifier, className="panel", children=[html.H2(title), html.Div(className="body")])
