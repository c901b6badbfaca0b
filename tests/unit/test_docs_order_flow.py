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
    text = " ".join(PAGE.read_text(encoding="utf-8").replace("−", "-").split())
    mixing = (
        f"min(ln(prints) / {aggressor.FULL_MIX_LOG_PRINTS:.0f}, 1) × ({aggressor.MIXING} × max(min(window, "
        f"{aggressor.BUSY_SECONDS:.0f}) - {aggressor.SINGLE_SIDED_SECONDS}, 0) × exp(-quiet) × (1 + {aggressor.BOOK_PULL} × pull)"
        f" + {aggressor.LONG_MIXING} × max(window - {aggressor.LONG_SECONDS:.0f}, 0))"
    )
    assert mixing in text
    assert (
        f"+ {aggressor.GAVE_WAY} if the ask rose, because buyers used up the quantity there; + {aggressor.STEPPED_UP} if " in text
    )
    assert f"and + {aggressor.AT_BEST} if the new ask equals the last price" in text
    assert f"*queues*: + {aggressor.QUEUE_SHIFT} × the change" in text
    assert f"When mixing is above {aggressor.MOST_MIXING:.0f}" in text
    assert f"less {aggressor.FEED_LATENCY_MS / 1000} s each" in text
    assert f"p = {aggressor.WRONG_AT_LEAST} + {aggressor.WRONG_PER_SECOND} × window" in text
    assert f"+ {aggressor.WRONG_UNCLEAR} unless the lean is clear" in text
    assert f"2 √({confidence.CLUSTERING:.0f} × Σ v² p)" in text
    assert f"`high` up to {confidence.HIGH_AT_MOST}, `medium` up to {confidence.MEDIUM_AT_MOST}" in text
