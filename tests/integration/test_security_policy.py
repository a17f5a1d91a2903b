"""SECURITY.md is shipped and names no address; the tests that the table of threats names exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_promise_has_ten_lines() -> None:
    promise = text("SECURITY.md").partition("## What is promised\n")[2].partition("\n## ")[0]
    assert re.findall(r"^(\d+)\. ", promise, re.MULTILINE) == [str(number) for number in range(1, 11)]
    assert len(re.findall(r"^\d+\. .*\n  ", promise, re.MULTILINE)) == 0  # a line each


def test_policy_says_how_to_report_without_an_address() -> None:
    policy = text("SECURITY.md")
    assert "private vulnerability reporting" in policy
    assert not re.search(r"\S@\S|https?:", policy)


def test_tests_that_the_threat_table_names_exist() -> None:
    table = text("store/trust/README.md").partition("| threat |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(tests/[\w/.]+)`", table))
    assert len(named) > 10
    assert [file for file in named if not (ROOT / file).exists()] == []


def test_source_distribution_has_it() -> None:
    (line,) = re.findall(r"sdist\]\ninclude = (.+)", text("pyproject.toml"))
    assert '"SECURITY.md"' in line
