"""The page's colours, each written once: served as CSS properties, which the style sheet and the canvases both read."""

from __future__ import annotations

from typing import Final

Colors = dict[str, str]

# What a colour is for: `buy` and `sell` are the only pair that carries meaning by hue. `label` is the text of the axes, `bright`
# what is written on a shade, `rule` a line between sessions, `cross` the crosshair.
DARK: Final[Colors] = {
    "paper": "#0d1117",
    "panel": "#10161f",
    "raised": "#18202c",
    "line": "#1f2835",
    "text": "#c6d0de",
    "faint": "#7f8b9d",
    "bright": "#e8edf4",
    "label": "#9aa5b5",
    "grid": "#1b222d",
    "zero": "#333d4d",
    "rule": "#3a4557",
    "cross": "#4a5870",
    "accent": "#4f8cc9",
    "pressed": "#2f6da8",
    "on-pressed": "#ffffff",
    "tag": "#56637a",
    "reading": "#3a4557",
    "on-tag": "#ffffff",
    "on-side": "#0d1117",
    "buy": "#26a69a",
    "sell": "#ef5350",
    "neutral": "#8591a5",
    "vwap": "#e0b341",
    "cvd": "#b48ef0",
    "confirmed": "#4f8cc9",
    "gap": "#c98a2b",
    "good": "#35c46d",
    "warn": "#e0a43a",
    "info-back": "#14263b",
    "info-text": "#9cc3ec",
    "warning-back": "#33270f",
    "warning-text": "#eebd62",
    "error-back": "#3a1719",
    "error-text": "#ff9c97",
    "shadow": "rgb(0 0 0 / 55%)",
    "veil": "rgb(5 8 12 / 60%)",
}
LIGHT: Final[Colors] = {
    "paper": "#ffffff",
    "panel": "#f6f8fa",
    "raised": "#e9edf2",
    "line": "#d0d7e0",
    "text": "#1c2530",
    "faint": "#56616f",
    "bright": "#10161f",
    "label": "#4d5868",
    "grid": "#e6eaef",
    "zero": "#b9c2cd",
    "rule": "#9aa5b5",
    "cross": "#7a8596",
    "accent": "#2f6da8",
    "pressed": "#2f6da8",
    "on-pressed": "#ffffff",
    "tag": "#56637a",
    "reading": "#3a4557",
    "on-tag": "#ffffff",
    "on-side": "#ffffff",
    "buy": "#00695c",
    "sell": "#b71c1c",
    "neutral": "#66717f",
    "vwap": "#8a5a00",
    "cvd": "#6f42c1",
    "confirmed": "#2f6da8",
    "gap": "#a35f00",
    "good": "#18733a",
    "warn": "#8a5a00",
    "info-back": "#dbeafe",
    "info-text": "#1e4a7a",
    "warning-back": "#fdf0d5",
    "warning-text": "#6b4700",
    "error-back": "#fde2e1",
    "error-text": "#8c1d18",
    "shadow": "rgb(16 24 40 / 22%)",
    "veil": "rgb(16 24 40 / 35%)",
}
# For those who cannot tell red from green: buying is blue and selling orange, so yellow and blue are free of other meanings.
SAFE: Final[dict[str, Colors]] = {
    "dark": {
        "buy": "#3d9bff",
        "sell": "#ff9f2e",
        "vwap": "#e8edf4",
        "confirmed": "#b9c3d0",
        "gap": "#d65fc4",
        "warn": "#d65fc4",
        "good": "#3d9bff",
    },
    "light": {
        "buy": "#0b5cad",
        "sell": "#984600",
        "vwap": "#1c2530",
        "confirmed": "#5b6675",
        "gap": "#a626a4",
        "warn": "#8f2a8d",
        "good": "#0b5cad",
    },
}
THEMES: Final[dict[str, Colors]] = {"dark": DARK, "light": LIGHT}


def colors(theme: str, palette: str = "default") -> Colors:
    """Return all colours of a theme (dark, light) and a palette (default, safe)."""
    return {**THEMES[theme], **(SAFE[theme] if palette == "safe" else {})}


def stylesheet() -> str:
    """Return the properties as CSS, `--buy: #26a69a`.

    The root element's `data-theme` and `data-palette` choose; until the page has set them, the system's theme holds.
    """
    rules = [_rule(":root", DARK, "dark"), _rule(':root[data-theme="light"]', LIGHT, "light")]
    rules.append("@media (prefers-color-scheme: light) {\n" + _rule(":root:not([data-theme])", LIGHT, "light") + "}\n")
    for theme in THEMES:
        rules.append(_rule(f':root[data-theme="{theme}"][data-palette="safe"]', SAFE[theme], theme))
    return "".join(rules)


def _rule(selector: str, held: Colors, scheme: str) -> str:
    lines = [f"  --{name}: {color};" for name, color in held.items()]
    return "\n".join([f"{selector} {{", *lines, f"  color-scheme: {scheme};", "}\n"])
