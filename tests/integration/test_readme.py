"""The README is short, its example runs, and it holds the two commands that .ci/run takes from it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"
COMMANDS = [
    "python3 -m venv .venv && .venv/bin/pip install --quiet . && .venv/bin/store demo",
    ".venv/bin/pip install --quiet '.[all,test]' && .venv/bin/pytest -q -n 3",
]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_readme_is_short() -> None:
    assert README.stat().st_size <= 8 * 1024, "details belong into the folders' pages"


def test_readme_example_prints_what_it_stores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (example,) = blocks("python")
    exec(compile(example, "README", "exec"), {})
    exec(compile(example, "README", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "{'theme': 'light', 'font_size': 14} 1 ['session:42']"
    assert lines[1] == "{'theme': 'light', 'font_size': 14} 2 ['session:42']"
    assert len(example.strip().splitlines()) <= 10


def test_first_shell_block_of_readme_is_the_two_commands() -> None:
    assert blocks("sh")[0].strip().splitlines() == COMMANDS
