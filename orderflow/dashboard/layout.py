"""The page's skeleton as Dash components; the scripts in `assets/` fill it from the viewers' socket."""

from __future__ import annotations

from typing import Final

from dash import html

INDEX: Final = """<!DOCTYPE html>
<html lang="en">
  <head>
    {%metas%}
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="dark">
    <title>{%title%}</title>
    <link rel="icon" type="image/svg+xml" href="/assets/favicon.svg">
    {%css%}
    <script src="/plotly.min.js?v=PLOTLY_DIGEST" async></script>
  </head>
  <body>
    {%app_entry%}
    <footer>{%config%}{%scripts%}{%renderer%}</footer>
  </body>
</html>"""


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
                            html.Div(id="of-chart"),
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
