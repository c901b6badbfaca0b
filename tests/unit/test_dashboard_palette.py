"""The page's colours: legible in both themes, and each with one meaning."""

from __future__ import annotations

import colorsys
import re
from pathlib import Path

import pytest

from orderflow.dashboard.web.files import PAGE
from orderflow.dashboard.web.palette import THEMES, colors, stylesheet

LOOKS = [(theme, palette) for theme in THEMES for palette in ("default", "safe")]
TEXTS = {
    "paper": ("text", "faint", "label", "bright", "buy", "sell", "cvd", "gap", "accent", "warn"),
    "panel": ("text", "faint", "buy", "sell", "good", "warn"),
    "raised": ("text", "faint", "buy", "sell"),
    "pressed": ("on-pressed",),
    "tag": ("on-tag",),
    "reading": ("on-tag",),
    "buy": ("on-side",),
    "sell": ("on-side",),
    "info-back": ("info-text",),
    "warning-back": ("warning-text",),
    "error-back": ("error-text",),
}
PARTS = {"neutral": 3.0, "vwap": 3.0, "confirmed": 3.0, "buy": 3.0, "sell": 3.0}
"""What is no text needs 3 : 1 on the paper (WCAG 2.2, 1.4.11)."""


def channels(color: str) -> list[float]:
    return [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG 2.2 defines it."""

    def luminance(color: str) -> float:
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels(color))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize(("theme", "palette"), LOOKS)
def test_colours_when_text_is_read_have_contrast_enough(theme: str, palette: str) -> None:
    held = colors(theme, palette)
    least = {(text, back): 4.5 for back, texts in TEXTS.items() for text in texts}
    least |= {(part, "paper"): ratio for part, ratio in PARTS.items() if (part, "paper") not in least}
    ratios = {pair: round(contrast(held[pair[0]], held[pair[1]]), 2) for pair in least}
    assert {pair: ratio for pair, ratio in ratios.items() if ratio < least[pair]} == {}


@pytest.mark.parametrize("theme", THEMES)
def test_safe_colours_when_one_has_a_meaning_no_other_meaning_has_a_hue_near_it(theme: str) -> None:
    def hue(color: str) -> float:
        return colorsys.rgb_to_hsv(*channels(color))[0] * 360

    safe = colors(theme, "safe")
    for side in (safe["buy"], safe["sell"]):
        apart = abs(hue(side) - hue(safe["gap"]))
        assert min(apart, 360 - apart) > 60
    for grey in (safe["vwap"], safe["confirmed"]):
        assert max(channels(grey)) - min(channels(grey)) < 0.12


def test_stylesheet_when_served_has_every_colour_of_every_look() -> None:
    rules = {selector.strip(): body for selector, body in re.findall(r"([^{}]+)\{([^{}]*)\}", stylesheet())}
    assert set(THEMES["light"]) == set(THEMES["dark"])
    assert f"--buy: {THEMES['dark']['buy']};" in rules[":root"]
    assert f"--buy: {THEMES['light']['buy']};" in rules[':root[data-theme="light"]']
    assert f"--buy: {colors('light', 'safe')['buy']};" in rules[':root[data-theme="light"][data-palette="safe"]']


def sources() -> list[Path]:
    return [path for path in sorted(PAGE.rglob("*")) if path.suffix in (".js", ".css")]


def test_page_files_when_read_write_no_colour_of_their_own() -> None:
    written = {
        path.name: re.findall(r"(?<![&\w])#(?:[0-9a-f]{6}|[0-9a-f]{3})\b|\brgba?\(\d", path.read_text()) for path in sources()
    }
    # colors.js explains the form of a colour by an example.
    assert {name: colors for name, colors in written.items() if colors and name != "colors.js"} == {}


def test_page_files_when_a_colour_is_used_it_is_one_that_is_served() -> None:
    own = {"buy-back", "sell-back"}
    used = {name for path in sources() for name in re.findall(r"var\(--([\w-]+)\)", path.read_text())}
    assert used - own <= set(THEMES["dark"])
