"""Opening, closing, pickling and reading only; and what a record of others can do."""

from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

import store
from store import Store, errors
from store.cache import Cache


class Evil:
    """Runs a command where a plain unpickler loads it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


def test_records_tags_and_figures_outlive_the_cache(place: str) -> None:
    with Cache[Any](place) as c:
        c.set("a", 1, tag="t")
        c.get("a")
    with Cache[Any](place) as c:
        assert (c["a"], c.tag_of("a"), c.stats().hits) == (1, "t", 2)


@pytest.mark.damaged
def test_tags_outlive_a_new_key(path: Path) -> None:
    old, new = "a1" * 32, "b2" * 32
    with Cache[Any](path, key=old) as c:
        c.set("a", 1, tag="t")
    with Cache[Any](path, key=[new, old]) as c:
        assert c.store.rekey().resealed == 3
        assert (c.tag_of("a"), c.evict("t")) == ("t", 1)


def test_tags_outlive_a_copy(path: Path) -> None:
    copied = path.with_name("copy.db")
    with Cache[Any](path) as c:
        c.set("a", 1, tag="t")
    store.copy(path, copied)
    with Cache[Any](copied) as c:
        assert (c.tag_of("a"), c.evict("t")) == ("t", 1)


def test_pickle_opens_the_same_cache_with_its_bounds(place: str) -> None:
    with Cache[Any](place, max_records=7, policy="lfu", ttl=50, namespace="mine") as c:
        c["a"] = 1
        for again in (pickle.loads(pickle.dumps(c)), copy.copy(c), copy.deepcopy(c)):
            with again:
                assert (again["a"], again.bounds, again.namespace) == (1, c.bounds, "mine")
                assert again.opened.options.ttl == 50
        assert c["a"] == 1


def test_cache_in_memory_cannot_be_pickled() -> None:
    with Cache[Any](":memory:") as c, pytest.raises(TypeError, match="in-memory"):
        pickle.dumps(c)


def test_closed_cache_says_so(c: Cache[Any]) -> None:
    c["a"] = 1
    assert "1 records" in repr(c)
    c.close()
    c.close()
    assert "closed" in repr(c)
    for use in (lambda: c["a"], lambda: c.set("a", 1), lambda: c.get("a"), c.stats, lambda: c.get_or_compute("a", int)):
        with pytest.raises(errors.StoreClosed):
            use()


def test_is_not_closed_inside_its_transaction(c: Cache[Any]) -> None:
    with c.transaction():
        c.set("a", 1, tag="t")
        with pytest.raises(errors.StoreError, match="leave the block"):
            c.close()
    assert (c["a"], c.evict("t")) == (1, 1)


def test_mode_n_starts_empty_with_tags(place: str) -> None:
    with Cache[Any](place) as c:
        c.set("a", 1, tag="t")
    with Cache[Any](place, mode="n") as c:
        assert (len(c), c.evict("t")) == (0, 0)
        assert c.store.namespaces() == []


def test_read_only_cache_reads(place: str) -> None:
    with Cache[Any](place) as c:
        c.set("a", 1, tag="t")
        before = c.stats().hits
        with Cache[Any](place, mode="r") as reader:
            assert (reader["a"], reader.get("x"), reader.tag_of("a")) == (1, None, "t")
            writes = (
                lambda: reader.set("a", 2), lambda: reader.set("a", 2, tag="u"), lambda: reader.delete("a"),
                lambda: reader.evict("t"), reader.clear, reader.cull, lambda: reader.incr("n"),
            )  # fmt: skip
            for write in writes:
                with pytest.raises(errors.ReadOnly):
                    write()
        assert (c["a"], c.stats().hits - before) == (1, 1)


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*sealed with a key")
@pytest.mark.parametrize("trust", ["own", "data"])
def test_foreign_record_runs_nothing(path: Path, tmp_path: Path, trust: Any) -> None:
    mark = tmp_path / "ran"
    Cache[Any](path).close()
    for namespace in ("cache", "cache#notes"):
        with Store[Any](path, namespace=namespace, key=b"the key of somebody else", trust="all") as foreign:
            foreign["a"] = Evil(mark)
    with Cache[Any](path, trust=trust) as c:
        uses = (
            lambda: c["a"], lambda: c.get("a"), lambda: c.get_many(["a"]), lambda: list(c.values()),
            lambda: c.pop("a"), lambda: c.tag_of("a"), lambda: c.incr("a"),
        )  # fmt: skip
        for use in uses:
            with pytest.raises((errors.Untrusted, errors.Corrupt)):
                use()
        assert c.get_or_compute("a", lambda: 1, ttl=10, early=1e12) == 1
        assert c.get_or_compute("a", lambda: 2, ttl=None) == 1
        c.set("a", 3, tag="t")
        assert (c["a"], c.evict("t")) == (3, 1)
    assert not mark.exists()
    assert os.system(f"touch {mark}") == 0 and mark.exists()  # else the test would hold nothing


def test_classes_of_the_own_user_load(path: Path) -> None:
    with Cache[Any](path) as c:
        c["a"] = store.errors.Conflict("mine")
        assert isinstance(c["a"], store.errors.Conflict)
