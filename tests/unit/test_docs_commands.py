"""The commands and paths that the documentation names exist, and the command line accepts them as they are written."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown.extensions.toc import slugify

from orderflow import __main__ as command_line

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
CURRENT = [page for page in PAGES if page.name != "CHANGELOG.md"]  # a changelog also names what is gone


def code(page: Path) -> Iterator[str]:
    """Yield the lines of a page's blocks of commands without comments, and its code spans on one line each."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^ *```bash\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE):
        yield from (line.split(" # ")[0] for line in block.replace("\\\n", " ").splitlines())
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    yield from (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose))


def named(pattern: str) -> set[tuple[str, str]]:
    """Return (page, what the pattern's group found in its code)."""
    return {(page.name, match) for page in CURRENT for line in code(page) for match in re.findall(pattern, line)}


def command_lines() -> list[str]:
    lines = {words.strip() for _, words in named(r"python3? -m orderflow ((?:[a-z][a-z-]*)(?: [^|>;)]*)?)")}
    return sorted(words for words in lines if "…" not in words)


@pytest.mark.parametrize("words", [words for words in command_lines() if " " in words])
def test_command_line_when_called_as_documented_then_accepts_the_arguments(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class AcceptedError(Exception):
        """The arguments were parsed."""

    def parsed() -> None:
        raise AcceptedError

    monkeypatch.setattr(command_line, "load", parsed)
    with pytest.raises(AcceptedError):
        command_line.main(shlex.split(words))


@pytest.mark.parametrize("name", sorted({words.split()[0] for words in command_lines()}))
def test_command_line_when_a_documented_command_is_asked_for_help_then_it_has_it(name: str) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        command_line.main([name, "--help"])


def test_documents_when_they_name_make_targets_then_the_makefile_has_them() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    wanted = named(r"^make ([a-z][a-z-]*)")
    assert len(wanted) >= 10
    assert {(page, target) for page, target in wanted if target not in targets} == set()


def test_documents_when_they_name_files_of_the_project_then_those_exist() -> None:
    wanted = named(r"^((?:orderflow|tests|benchmarks|deploy|docs|bin)/[\w./-]*\w)$") | {
        (page, f"benchmarks/{name}.py") for page, name in named(r"\bB=([a-z_]+)")
    }
    assert len(wanted) >= 40
    assert {(page, path) for page, path in wanted if not (ROOT / path).exists()} == set()


def test_documents_when_they_name_a_profile_of_compose_then_it_exists() -> None:
    profiles = set(re.findall(r"profiles: \[([a-z, ]+)\]", (ROOT / "docker-compose.yml").read_text()))
    wanted = named(r"--profile ([a-z]+)")
    assert wanted
    assert {name for _, name in wanted} <= {name.strip() for names in profiles for name in names.split(",")}


def test_pages_of_the_root_when_they_link_to_a_heading_then_it_is_there() -> None:
    missing = []
    for page in ROOT.glob("*.md"):  # mkdocs checks those below docs/
        for target, anchor in re.findall(r"\]\(([^)#:]+\.md)#([^)]+)\)", page.read_text(encoding="utf-8")):
            headings = re.findall(r"^#+ (.+)$", (ROOT / target).read_text(encoding="utf-8"), re.MULTILINE)
            if anchor not in {slugify(heading, "-") for heading in headings}:
                missing.append(f"{page.name}: {target}#{anchor}")
    assert missing == []


def test_readme_when_it_states_a_figure_then_the_page_of_measurements_has_it() -> None:
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("## Five measured figures")[1].split("\n\n")[1]
    measured = (ROOT / "docs" / "MEASUREMENTS.md").read_text(encoding="utf-8")
    rows = [line.rsplit("|", 2)[1] for line in table.splitlines()[2:]]
    assert len(rows) == 5
    figures = {figure for row in rows for figure in re.findall(r"\d[\d,.]*\d", row)}
    assert {figure for figure in figures if figure not in measured} == set()
