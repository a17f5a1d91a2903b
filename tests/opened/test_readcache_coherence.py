"""The read cache beside commits, ours and others': each interleaving is driven by a hook, never by time."""

from __future__ import annotations

import gc
import signal
import sqlite3
import struct
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import pytest
from interleave import hook, in_thread, is_cached, stored, warm, write_beside

from store import Store
from store.engines.sqlite.engine import coherence as sqlite_coherence
from store.engines.sqlite.engine import wal_index
from store.engines.sqlite.engine.ring import NAMES, SLOTS
from store.errors import StoreClosed
from store.opened.cache_entries import Entries


@pytest.fixture
def s(path, clock):
    with Store(path, clock=clock) as s:
        s.update(a=["old"], b=["old"])
        s.opened.cache.drop()  # a test says what is cached
        yield s


WRITERS: dict[str, Callable[[Store], None]] = {
    "ours": lambda s: s.__setitem__("a", ["new"]),
    "another program's": lambda s: write_beside(s, "a", ["new"]),
}
writers = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)


@writers
def test_commit_between_row_and_filing(s, write):
    s["b"]
    hook(s.opened.engine, "get", after=lambda: in_thread(lambda: write(s)))
    assert s["a"] == ["old"]  # the read began before
    assert s["a"] == ["new"]


@writers
def test_commit_between_header_and_row(s, write):
    hook(s.opened.engine, "get", before=lambda: in_thread(lambda: write(s)))
    assert s["a"] == ["new"]
    assert s["a"] == ["new"]
    write_beside(s, "a", ["newer"])
    assert s["a"] == ["newer"]


@writers
def test_commit_between_our_own_and_what_is_learnt_of_it(s, write):
    warm(s)

    def overwrite() -> None:
        write(s)
        assert s["a"] == ["new"]

    hook(s.opened.engine, "put", after=lambda: in_thread(overwrite))
    s["a"] = ["mine"]
    assert s["a"] == stored(s, "a") == ["new"]


@writers
def test_commit_between_count_and_filing(s, write):
    def insert() -> None:
        s["c"] = 1
        write(s)

    hook(s.opened.engine, "count", after=lambda: in_thread(insert))
    assert len(s) == 2
    assert len(s) == 3


def test_commit_of_another_program_clears_all(s):
    warm(s)
    len(s)
    write_beside(s, "a", ["new"])
    assert not is_cached(s, "b")
    assert (s["a"], s.get("b"), s.get_many(["a"]), "a" in s) == (["new"], ["old"], {"a": ["new"]}, True)
    with closing(sqlite3.connect(s.location)) as conn:
        conn.execute("DELETE FROM records WHERE name = 'a'")
        conn.commit()
    assert ("a" in s, s.get("a"), len(s), s.get_many(["a", "b"])) == (False, None, 1, {"b": ["old"]})


def test_two_commits_of_which_one_is_ours(s):
    warm(s)
    hook(s.opened.engine.coherence, "begin", after=lambda: write_beside(s, "a", ["new"]))
    s["b"] = ["mine"]
    assert (s["a"], s["b"]) == (["new"], ["mine"])


def test_delete_of_nothing_with_a_commit_beside_it(s):
    warm(s)
    hook(s.opened.engine.coherence, "begin", after=lambda: write_beside(s, "a", ["new"]))
    with pytest.raises(KeyError):
        del s["nobody"]
    assert s["a"] == ["new"]


def test_transaction_of_nothing_with_a_commit_after_it(s):
    warm(s)
    hook(s.opened.engine.coherence, "end", before=lambda: write_beside(s, "a", ["new"]))
    with s.transaction():
        pass
    assert s["a"] == stored(s, "a")


def test_transaction_whose_savepoint_was_rolled_back_with_a_commit_after_it(s):
    """What was undone counts as changed, and need not have been committed: then it may be anything."""
    warm(s)
    told: list[Any] = []
    end = s.opened.engine.coherence.end
    s.opened.engine.coherence.end = lambda commit, changed: (
        told.append(commit.touched) or end(commit, changed=changed)
    )
    hook(s.opened.engine.coherence, "end", before=lambda: write_beside(s, "a", ["new"]))
    with s.transaction(), suppress(ZeroDivisionError), s.transaction():
        s["c"] = 1
        1 / 0
    assert s["a"] == stored(s, "a") == ["new"]
    assert told == [None]


def test_next_header_is_one_change_on_in_the_same_log():
    def header(changes: int, salts: int) -> bytes:
        return struct.pack("=8xI20xQ8x", changes, salts)

    assert wal_index.is_next(header(7, 1), header(8, 1))
    assert wal_index.is_next(header(2**32 - 1, 1), header(0, 1))
    assert not wal_index.is_next(header(7, 1), header(7, 1))
    assert not wal_index.is_next(header(7, 1), header(9, 1))
    assert not wal_index.is_next(header(7, 1), header(8, 2))


@pytest.mark.parametrize("kind", ["PASSIVE", "FULL", "RESTART", "TRUNCATE"])
def test_checkpoint_and_what_is_written_after_it(s, kind):
    for number in range(4):
        warm(s)
        with closing(sqlite3.connect(s.location, isolation_level=None)) as conn:
            assert conn.execute(f"PRAGMA wal_checkpoint({kind})").fetchone()[0] == 0
        assert s["a"] == stored(s, "a")
        warm(s)
        if number % 2:
            s["a"] = [number]
        else:
            write_beside(s, "a", [number])
        assert (s["a"], s["b"]) == ([number], ["old"])


def test_vacuum_by_another_program(s):
    warm(s)
    with closing(sqlite3.connect(s.location, isolation_level=None)) as conn:
        conn.execute("VACUUM")
    assert s["a"] == ["old"]
    write_beside(s, "a", ["new"])
    assert (s["a"], s["b"], len(s)) == (["new"], ["old"], 2)


# -- our own commits


def _roll_back(s: Store) -> None:
    with suppress(ZeroDivisionError), s.transaction():
        s.update(a=1, b=2, c=3)
        assert (s["a"], len(s)) == (1, 3)
        1 / 0


def _roll_back_inside(s: Store) -> None:
    with s.transaction():
        s["a"] = "kept"
        with suppress(ZeroDivisionError), s.transaction():
            s["b"] = "undone"
            del s["a"]
            1 / 0


def _edit(s: Store) -> None:
    with s.edit("a") as value:
        value.append("edited")


def _purge(s: Store) -> None:
    s.put("a", 1, ttl=0.5)
    s["a"]
    s.opened.clock.clock.advance(0.5)
    s.purge()


WRITES: dict[str, Callable[[Store], Any]] = {
    "set": lambda s: s.__setitem__("a", ["new"]),
    "insert": lambda s: s.__setitem__("c", ["new"]),
    "delete": lambda s: s.__delitem__("a"),
    "put": lambda s: s.put("a", ["new"], ttl=10),
    "update": lambda s: s.update(a=["new"], c=1),
    "clear": lambda s: s.clear(),
    "pop": lambda s: s.pop("a"),
    "popitem": lambda s: s.popitem(),
    "setdefault": lambda s: s.setdefault("c", 1),
    "modify": lambda s: s.modify("a", lambda value: [*value, 1]),
    "edit": _edit,
    "touch": lambda s: s.touch("a", 1),
    "admit": lambda s: s.admit(s.inspect("a")),
    "purge": _purge,
    "roll back": _roll_back,
    "roll back inside": _roll_back_inside,
    "in a thread": lambda s: in_thread(lambda: s.update(a=["new"], b=["new"])),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("by", ["the store", "another on its engine", "a namespace beside it"])
def test_every_write_is_seen(s, path, clock, write, by):
    with s.within("beside") as beside, Store(path, clock=clock, cache_bytes=10**6) as other:
        beside.update(a=["beside"], b=["beside"])
        readers = [s, other, beside]
        for store in readers:
            warm(store)
            len(store)
        write({"the store": s, "another on its engine": other, "a namespace beside it": beside}[by])
        for _ in range(2):  # asked for, and cached
            for store in readers:
                assert {name: store.get(name) for name in "abc"} == {name: stored(store, name) for name in "abc"}
                assert len(store) == len(list(store)) == sum(name in store for name in "abc")
                assert store.get_many("abc") == dict(store)


def test_write_in_one_namespace_keeps_the_others_warm(s, asked):
    with s.within("beside") as beside:
        beside["a"] = 1
        warm(s)
        warm(beside)
        statements = asked(s)
        del beside["a"]
        beside["b"] = 2
        assert (s["a"], s["b"], beside["b"], statements) == (["old"], ["old"], 2, [])


def test_cache_stays_warm_over_a_transaction(s, asked):
    warm(s)
    statements = asked(s)
    with s.transaction():
        s["c"] = 1
    assert (s["a"], s["b"], statements) == (["old"], ["old"], [])


def test_read_inside_a_transaction_sees_its_writes_and_files_nothing(s):
    warm(s)
    with pytest.raises(ZeroDivisionError), s.transaction():
        s["a"] = ["inside"]
        assert (s["a"], s.get_many(["a"])) == (["inside"], {"a": ["inside"]})
        del s["b"]
        assert ("b" in s, s.get("b"), len(s)) == (False, None, 1)
        1 / 0
    assert (s["a"], s["b"], len(s)) == (["old"], ["old"], 2)


def test_other_thread_reads_what_is_committed_while_one_is_in_a_transaction(s):
    warm(s)
    seen: list[Any] = []
    with s.transaction():
        s["a"] = ["inside"]
        in_thread(lambda: seen.extend([s["a"], len(s), s.get_many("ab")]))
    in_thread(lambda: seen.append(s["a"]))
    assert seen == [["old"], 2, {"a": ["old"], "b": ["old"]}, ["inside"]]


def test_transaction_that_an_interrupt_left_open(s):
    warm(s)
    transaction = s.transaction()
    transaction.__enter__()
    s["a"] = ["inside"]
    assert s["a"] == ["inside"]
    del transaction  # as the frame of an interrupted block goes
    gc.collect()
    assert (s["a"], s["b"]) == (["old"], ["old"])


# -- many names at one moment


def test_get_many_while_another_thread_changes_both(s):
    def change() -> None:
        s.update(a=["new"], b=["new"])
        warm(s)

    warm(s)
    hook(s.opened.cache, "_decoded", after=lambda: in_thread(change))
    found = s.get_many("ab")
    assert found["a"] == found["b"]
    assert s.get_many("ab") == {"a": ["new"], "b": ["new"]}


class Interleaved(list):
    """Lets something happen between its first and its second item, the first time."""

    action: Callable[[], Any] | None = None

    def __iter__(self):
        yield self[0]
        if self.action is not None:
            action, self.action = self.action, None
            action()
        yield from self[1:]


def _by_us(s: Store) -> None:
    s.update(a=["new"], b=["new"])
    warm(s)


def test_values_changed_by_us_between_two_look_ups(s):
    warm(s)
    names = Interleaved("ab")
    names.action = lambda: in_thread(lambda: _by_us(s))
    assert s.opened.cache.values(names, s.opened.clock()) is None


def test_values_changed_by_another_program_between_two_look_ups(s):
    warm(s, "a")
    names = Interleaved("ab")

    def file_the_other() -> None:
        hook(s.opened.engine, "get", before=lambda: [write_beside(s, name, ["new"]) for name in "ab"])
        assert s["b"] == ["new"]  # filed beside the old "a", under the header that was taken before

    names.action = lambda: in_thread(file_the_other)
    assert s.opened.cache.values(names, s.opened.clock()) is None


# -- closing, and the handlers of signals


def test_closed_by_another_thread_between_its_index_and_its_tag(path):
    with Store(path) as keeps_the_engine:
        keeps_the_engine["a"] = 1
        s = Store(path)
        hook(s.opened.engine.coherence, "index", after=s.close)
        with pytest.raises(StoreClosed):
            s["a"]
        assert s.opened.cache._state[1] is None


def test_closed_by_another_thread_between_row_and_filing(path):
    with Store(path) as keeps_the_engine:
        keeps_the_engine["a"] = 1
        s = Store(path)
        hook(s.opened.engine, "get", after=s.close)
        assert s["a"] == 1
        with pytest.raises(StoreClosed):
            s["a"]


@pytest.mark.parametrize("moment", ["add", "forget"])
def test_handler_of_a_signal_that_writes_while_entries_are_at_work_on(s, monkeypatch, moment):
    """On the thread that holds the lock, which would wait for itself."""
    original = getattr(Entries, moment)

    def struck(entries: Entries, *args: Any) -> None:
        monkeypatch.setattr(Entries, moment, original)
        signal.raise_signal(signal.SIGUSR1)
        original(entries, *args)

    def handler(*_: object) -> None:
        s["a"] = ["new"]
        assert s["a"] == ["new"]

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        s["b"]
        if moment == "forget":
            s["a"]
            in_thread(lambda: Store(s.location, mode="w").__setitem__("a", ["old"]))
        monkeypatch.setattr(Entries, moment, struck)
        assert s["a"] in (["old"], ["new"])
        assert (s["a"], stored(s, "a")) == (["new"], ["new"])
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_handler_of_a_signal_that_closes_while_the_index_is_mapped(s, monkeypatch):
    index_of = wal_index.index_of

    def struck(path: str) -> Any:
        monkeypatch.setattr(sqlite_coherence, "index_of", index_of)
        s.close()
        return index_of(path)

    s.opened.engine.coherence.drop()
    monkeypatch.setattr(sqlite_coherence, "index_of", struck)
    with pytest.raises(StoreClosed):
        s["a"]


# -- many handles


def _calls_of(action: Callable[[], Any]) -> int:
    """How many functions an action calls."""
    calls = 0

    def count(frame: Any, event: str, arg: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(before)
    return calls


def _most(actions: Callable[[], Any]) -> int:
    """The usual number of calls: now and then a write has a checkpoint to make, too."""
    return sorted(_calls_of(actions) for _ in range(9))[4]


def test_commit_costs_the_same_however_many_handles_have_cached_something(s):
    warm(s)
    alone = _most(lambda: s.__setitem__("a", 1))
    handles = [s.within(f"space {number}") for number in range(100)]
    for handle in handles:
        handle["a"] = ["old"]
        warm(handle, "a")
    assert _most(lambda: s.__setitem__("a", 1)) <= alone + 10
    assert all(handle["a"] == ["old"] for handle in handles)
    for handle in handles:
        handle.close()


def test_commits_that_one_handle_has_yet_to_follow(s, asked):
    with s.within("beside") as beside:
        beside["a"] = ["beside"]
        for store in (s, beside):
            warm(store, "a")
        statements = asked(s)
        for number in range(5):
            beside["a"] = [number]
        s["a"] = ["new"]
        assert (beside["a"], s["a"], statements) == ([4], ["new"], [])
        assert (beside["a"], s["a"]) == (stored(beside, "a"), stored(s, "a"))


@pytest.mark.parametrize("commits", [SLOTS - 1, SLOTS, SLOTS + 1, 3 * SLOTS])
@pytest.mark.slow
def test_commits_that_a_cache_has_yet_to_follow(s, commits):
    with s.within("beside") as beside:
        beside["a"] = ["beside"]
        warm(beside, "a")
        for number in range(commits):
            s["a"] = number
        assert is_cached(beside, "a") == (commits <= SLOTS)
        assert beside["a"] == ["beside"]
        beside["b"] = 1
        assert beside["a"] == stored(beside, "a")


@pytest.mark.parametrize("names", [NAMES - 1, NAMES, NAMES + 1])
def test_records_that_one_commit_touches(s, names):
    with s.within("beside") as beside:
        beside["a"] = ["beside"]
        warm(beside, "a")
        s.update({str(number): 1 for number in range(names)})
        assert is_cached(beside, "a") == (names <= NAMES)
        assert beside["a"] == ["beside"]


def test_commit_of_another_program_between_ours(s):
    warm(s)
    with s.within("beside") as beside:
        beside["a"] = 1
        write_beside(s, "a", ["new"])
        beside["a"] = 2
        assert (s["a"], s["b"]) == (["new"], ["old"])
