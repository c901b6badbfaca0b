from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs import reference

ROOT = Path(__file__).resolve().parents[2]


def test_reference_when_compared_with_the_code_then_it_is_up_to_date() -> None:
    command = [sys.executable, "-m", "docs.reference", "--check"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


def test_reference_when_a_page_differs_then_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = reference.SETTINGS_PAGE.read_text().replace("KAFKA_PARTITIONS=2", "KAFKA_PARTITIONS=3")
    assert page != reference.SETTINGS_PAGE.read_text()
    (tmp_path / "SETTINGS.md").write_text(page)
    monkeypatch.setattr(reference, "SETTINGS_PAGE", tmp_path / "SETTINGS.md")
    assert reference.rendered()[tmp_path / "SETTINGS.md"] != page


def test_settings_tables_when_settings_share_a_comment_then_they_share_a_row() -> None:
    example = """# Copy to .env and edit.

# --- Upstox ---------------
# Connections over which the instruments are spread:
# Upstox allows 5.
#UPSTOX_CONNECTIONS=1
# keys as A|B
INSTRUMENT=NSE_EQ|INE467B01029
#INSTRUMENT_FILE=

# --- Candles --------------
# full or late
#EXCHANGE_BARS=true
"""
    assert reference.settings_tables(example) == (
        "## Upstox\n"
        "| setting and default | values | meaning |\n|---|---|---|\n"
        "| `UPSTOX_CONNECTIONS=1` | 1 to 5 | Connections over which the instruments are spread: Upstox allows 5. |\n"
        "| `INSTRUMENT=NSE_EQ\\|INE467B01029`<br>`INSTRUMENT_FILE=` | list<br>path | keys as A\\|B |\n"
        "\n## Candles\n"
        "| setting and default | values | meaning |\n|---|---|---|\n"
        "| `EXCHANGE_BARS=true` | true, false | full or late |"
    )


def test_settings_tables_when_a_setting_has_no_comment_then_it_is_named() -> None:
    with pytest.raises(ValueError, match="says nothing about LOG_LEVEL"):
        reference.settings_tables("# --- Health ---\n#LOG_LEVEL=INFO\n")


def test_documents_when_they_link_to_files_then_those_exist() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    missing = []
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                missing.append(f"{page.relative_to(ROOT)}: {target}")
    assert missing == []
