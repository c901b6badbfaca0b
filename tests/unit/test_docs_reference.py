from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_api_reference_when_compared_with_the_records_then_it_is_up_to_date() -> None:
    answer = subprocess.run([sys.executable, str(ROOT / "docs" / "reference.py"), "--check"], check=False)
    assert answer.returncode == 0, "run python docs/reference.py"


def test_documents_when_they_link_to_files_then_those_exist() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    missing = []
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                missing.append(f"{page.relative_to(ROOT)}: {target}")
    assert missing == []
