"""Commands about all namespaces take a time that grows with their number, and not with its square."""

from __future__ import annotations

import pytest

from store import Store
from store.engines.sqlite.reading import Reading

NAMESPACES = 30


@pytest.fixture
def spread(path):
    with Store(path) as s:
        for number in range(NAMESPACES):
            with s.within(f"n{number:02}") as inner:
                inner.update(a=1, b="x" * number)
    return path


@pytest.fixture
def listings(monkeypatch):
    """One item for each time that all namespaces were listed."""
    made, namespaces = [], Reading.namespaces

    def counted(self, *args):
        made.append(args)
        return namespaces(self, *args)

    monkeypatch.setattr(Reading, "namespaces", counted)
    return made


def test_namespaces_lists_them_once(run, spread, listings):
    lines = run("namespaces", spread, "--no-color").out.splitlines()
    assert len(lines) == NAMESPACES + 1 and lines[-1].split()[::3] == ["2", "n29"]
    assert len(listings) == 1


def test_stats_of_all_lists_them_twice(run, spread, listings):
    assert '"records": 60' in run("stats", spread, "--json").out
    assert len(listings) == 2


def test_destroy_lists_them_twice(run, spread, listings):
    assert "records 60, namespaces 30" in run("destroy", spread, "--yes").out
    assert len(listings) == 2
