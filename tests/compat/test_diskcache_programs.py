"""Programs that were written for diskcache print the same with one import changed, and so does its own test suite."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = sorted(Path(__file__).with_name("programs").glob("diskcache/*.py"))
IMPORT = re.compile(r"^(?:import diskcache\b(?: as (\w+))?|from diskcache\b)", re.MULTILINE)
VERSION = "5.6.3"


def ours(found: re.Match[str]) -> str:
    """The changed beginning of an import."""
    if found[0].startswith("from"):
        return "from store.compat.diskcache"
    return f"import store.compat.diskcache as {found[1] or 'diskcache'}"


def run(program: Path, folder: Path) -> str:
    folder.mkdir()
    return subprocess.run(
        [sys.executable, "-W", "error", program, folder], stdout=subprocess.PIPE, text=True, check=True, timeout=60
    ).stdout  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_program_prints_the_same(program: Path, tmp_path: Path) -> None:
    pytest.importorskip("diskcache", reason="diskcache is not installed: its programs are not compared")
    changed, number = IMPORT.subn(ours, program.read_text())
    assert 1 <= number <= 2
    here = tmp_path / program.name
    here.write_text(changed)
    printed = run(here, tmp_path / "here")
    assert printed == run(program, tmp_path / "there")
    assert len(printed.splitlines()) >= 9


def test_there_are_five_programs() -> None:
    assert len(PROGRAMS) == 5
    assert all(60 <= len(program.read_text().splitlines()) <= 120 for program in PROGRAMS)
