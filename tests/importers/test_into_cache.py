"""Imports into a `Cache`: tags, expiry, resuming, replacing, dry runs, and no bound that an import would break."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sources import library

from store import Store
from store.cache import Cache
from store.cli import main
from store.importers import Found, import_into, importers
from store.importers.run import BATCH


class Given:
    """A source whose records the test gives."""

    name = "given"
    records: list[Found]

    def recognises(self, path: str) -> bool:
        return True

    def read(self, path: str, *, table: str | None = None) -> Iterator[Found]:
        yield from self.records


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Given:
    importer = Given()
    monkeypatch.setitem(importers._entries, "given", (importer, ""))
    monkeypatch.setitem(importers._loaded, "given", importer)
    return importer


def run(cache: Cache[Any], **options: Any) -> dict[str, str]:
    return {one.name: one.outcome for one in import_into(cache, "given", "nowhere", **options)}


def test_tags_and_expiry_are_kept(given: Given, place: str) -> None:
    given.records = [Found("a", 1, tag="fruit"), Found("b", 2, tag="fruit", expires=5000.0), Found("c", 3), Found("d", 4, tag=7)]
    with Cache[Any](place, clock=lambda: 1000.0) as cache:
        assert set(run(cache, clock=lambda: 1000.0).values()) == {"imported"}
        assert dict(cache) == {"a": 1, "b": 2, "c": 3, "d": 4}
        assert [cache.tag_of(name) for name in "abcd"] == ["fruit", "fruit", None, "7"]
        expires = cache.store.record("b").expires
        assert expires is not None and expires.timestamp() == 5000.0
        assert set(run(cache, clock=lambda: 1000.0).values()) == {"unchanged"}
        assert cache.evict("fruit") == 2
        assert dict(cache) == {"c": 3, "d": 4}


def test_replace_gives_the_tag_of_the_source(given: Given, place: str) -> None:
    given.records = [Found("a", 1, tag="new"), Found("b", 2)]
    with Cache[Any](place) as cache:
        cache.set("a", 1, tag="old")
        cache.set("b", 2, tag="old")
        assert run(cache) == {"a": "unchanged", "b": "unchanged"}
        assert run(cache, on_conflict="replace", dry_run=True) == {"a": "replaced", "b": "replaced"}
        assert (cache.tag_of("a"), cache.tag_of("b")) == ("old", "old")
        assert run(cache, on_conflict="replace") == {"a": "replaced", "b": "replaced"}
        assert (cache.tag_of("a"), cache.tag_of("b")) == ("new", None)
        assert run(cache, on_conflict="replace") == {"a": "unchanged", "b": "unchanged"}


def test_tag_that_cannot_be_one_fails_for_that_record_alone(given: Given, place: str) -> None:
    given.records = [Found("a", 1, tag="nul\0"), Found("b", 2, tag="fruit")]
    with Cache[Any](place) as cache:
        assert run(cache) == {"a": "failed", "b": "imported"}


@pytest.mark.slow
def test_bounds_hold_while_records_are_imported(given: Given, path: Path) -> None:
    given.records = [Found(f"n{number:05}", number, tag=f"t{number % 3}") for number in range(3 * BATCH)]
    with Cache[Any](path, max_records=100) as cache:
        assert set(run(cache).values()) == {"imported"}
        assert len(cache) <= 105


def test_command_keeps_all_and_their_tags(tmp_path: Path, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with library("diskcache").Cache(str(tmp_path / "old")) as old:
        for number in range(10):
            old.set(f"n{number}", number, tag="even" if number % 2 == 0 else None)
    words = ["import", "diskcache", str(tmp_path / "old"), str(path), "--cache"]
    assert main([*words, "--dry-run"]) == 0 and not path.exists()
    assert main(words) == 0
    assert capsys.readouterr() == ("to be imported 10\nimported 10\n", "")
    assert main([*words, "--dry-run", "--on-conflict", "replace"]) == 0
    assert capsys.readouterr().out == "to be imported 0, unchanged 10\n"
    with Cache[Any](path) as cache:
        assert dict(cache) == {f"n{number}": number for number in range(10)}
        assert cache.evict("even") == 5
    with Store[Any](path) as s:
        assert "cache" in s.namespaces()


def test_command_with_a_namespace(tmp_path: Path, path: Path) -> None:
    with library("diskcache").Cache(str(tmp_path / "old")) as old:
        old.set("a", 1, tag="x")
    assert main(["import", "diskcache", str(tmp_path / "old"), str(path), "--cache", "--namespace", "web"]) == 0
    with Cache[Any](path, namespace="web") as cache:
        assert (dict(cache), cache.tag_of("a")) == ({"a": 1}, "x")
