"""Every Python block of docs/ORDER_FLOW.md runs, in order, in one namespace."""

from __future__ import annotations

import re
from pathlib import Path

from orderflow.market import aggressor, confidence

PAGE = Path(__file__).resolve().parents[2] / "docs" / "ORDER_FLOW.md"


def test_page_when_its_python_blocks_are_run_then_every_assertion_holds():
    text = PAGE.read_text(encoding="utf-8")
    blocks = list(re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    assert len(blocks) == 9
    names: dict[str, object] = {}
    for block in blocks:
        assert "assert" in block[1]
        line = text[: block.start(1)].count("\n")
        exec(compile("\n" * line + block[1], str(PAGE), "exec"), names)


def test_page_when_it_states_constants_then_they_are_the_codes():
    text = PAGE.read_text(encoding="utf-8").replace("−", "-")
    mixing = (
        f"{aggressor.MIXING} × max(window - {aggressor.SINGLE_SIDED_SECONDS}, 0) × min(ln(prints) / "
        f"{aggressor.FULL_MIX_LOG_PRINTS:.0f}, 1) × exp(-quiet) × (1 + {aggressor.BOOK_PULL} × pull)"
    )
    assert mixing in text
    assert f"each beyond {aggressor.FEED_LATENCY_MS / 1000} s" in text
    assert f"p = {aggressor.WRONG_AT_LEAST} + {aggressor.WRONG_PER_SECOND} × window" in text
    assert f"2 √({confidence.CLUSTERING} × Σ v² p)" in text
    assert f"`high` up to {confidence.HIGH_AT_MOST}, `medium` up to {confidence.MEDIUM_AT_MOST}" in text
