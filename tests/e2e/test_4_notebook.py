"""The tutorial's notebook on the local stack, over what the simulated market traded."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, LocalStack  # type: ignore[import-not-found]

pytestmark = pytest.mark.e2e

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()


def test_notebook_of_the_tutorial_when_its_cells_are_run_in_order_then_it_answers_for_each_instrument(
    local_stack: LocalStack, tmp_path: Path
) -> None:
    cells = re.findall(r"^```python notebook\n(.+?)^```", TUTORIAL, flags=re.DOTALL | re.MULTILINE)
    assert len(cells) == 4
    shown = 'print("answered:", answer.where("minutes > 0").count(), candles.select("instrument").distinct().count())\n'
    (tmp_path / "notebook.py").write_text("\n".join([*cells, shown]))
    answer = subprocess.run(
        [str(ROOT / "bin" / "python3"), "notebook.py"],
        cwd=tmp_path,
        env=local_stack.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    answered, instruments = re.findall(r"answered: (\d+) (\d+)", answer.stdout)[0]
    assert int(answered) >= 1
    assert int(instruments) >= int(answered)
    assert "Plotly.newPlot" in (tmp_path / "cvd.html").read_text()
