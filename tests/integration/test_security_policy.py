"""SECURITY.md: it is shipped, what it and the README name exists, and it sends nobody to an address."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def anchors(name: str) -> set[str]:
    """Of its headings, as they are linked to."""
    headings = re.findall(r"^#+ (.+)$", text(name), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_promise_has_ten_lines() -> None:
    promise = text("SECURITY.md").partition("## What is promised\n")[2].partition("\n## ")[0]
    assert re.findall(r"^(\d+)\. ", promise, re.MULTILINE) == [str(number) for number in range(1, 11)]
    assert len(re.findall(r"^\d+\. .*\n  ", promise, re.MULTILINE)) == 0  # a line each


def test_policy_says_how_to_report_without_an_address() -> None:
    policy = text("SECURITY.md")
    assert "private vulnerability reporting" in policy
    assert not re.search(r"\S@\S|https?:", policy)


@pytest.mark.parametrize("name", ["README.md", "SECURITY.md"])
def test_links_between_the_two_lead_somewhere(name: str) -> None:
    links = re.findall(r"\]\((README\.md|SECURITY\.md)(?:#([\w-]+))?\)", text(name))
    assert links
    for file, anchor in links:
        assert not anchor or anchor in anchors(file), (file, anchor)


def test_tests_that_the_threat_table_names_exist() -> None:
    table = text("README.md").partition("| threat |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(tests/[\w/.]+)`", table))
    assert len(named) > 10
    assert [file for file in named if not (ROOT / file).exists()] == []


def test_source_distribution_has_it() -> None:
    (line,) = re.findall(r"sdist\]\ninclude = (.+)", text("pyproject.toml"))
    assert '"SECURITY.md"' in line
