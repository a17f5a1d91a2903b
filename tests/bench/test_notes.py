"""Each missed budget of the committed report has one note that says why, and no other budget has one."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

from . import __main__, notes
from .notes import Note

REPORT = Path(__file__).with_name("report.md")
SMALL = """\
# Benchmark

## Budgets

From the design.

|  | budget | measured |  |
|---|---|---:|---|
| `s[k] = v` | ≤ 1.6 × raw | 2.12 × | **missed** |
| `items()` | ≤ 1.8 × raw | 1.7 × | met |
| `store get` | ≤ 80 ms | + 127 ms | **missed** |

- `items()`: an old note

## How it was measured

Text | with **missed** | in it.
"""


def test_each_missed_budget_has_one_note_and_no_other_has():
    named = Counter(budget for note in notes.NOTES for budget in note.budgets)
    assert named == Counter(notes.missed_in(REPORT.read_text("utf-8")))


def test_report_has_these_notes():
    report = REPORT.read_text("utf-8")
    assert notes.rewritten(report) == report, "python -m tests.bench --notes"


def test_missed_budgets_are_found():
    assert notes.missed_in(SMALL) == ["`s[k] = v`", "`store get`"]


def test_note_names_only_the_missed_of_its_budgets():
    both = Note(("`s[k] = v`", "`items()`", "`store get`"), "why")
    assert notes.lines(["`s[k] = v`", "`store get`"], [both, Note(("`items()`",), "no")]) == ["- `s[k] = v`; `store get`: why"]


def test_notes_of_a_report_are_replaced(monkeypatch):
    monkeypatch.setattr(notes.lines, "__defaults__", ((Note(("`store get`",), "why"),),))
    rewritten = notes.rewritten(SMALL)
    assert rewritten == SMALL.replace("- `items()`: an old note", "- `store get`: why")
    assert notes.rewritten(rewritten) == rewritten
    without = SMALL.replace("- `items()`: an old note\n\n", "")
    assert notes.rewritten(without) == rewritten


def test_command_puts_notes_into_a_report_and_measures_nothing(tmp_path, monkeypatch):
    (tmp_path / "report.md").write_text(SMALL, "utf-8")
    monkeypatch.setattr(sys, "argv", ["bench", "--notes", "--output", str(tmp_path)])
    monkeypatch.setattr(__main__, "bench", lambda *_, **__: pytest.fail("it measures"))
    __main__.main()
    assert (tmp_path / "report.md").read_text("utf-8") == notes.rewritten(SMALL) != SMALL
