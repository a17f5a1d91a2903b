"""Writers delete what has expired, a few at a time: counted in statements and records, never in time."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from free import needs_held

from store import Store
from store.engines.contract import Fields, Order, in_pages
from store.engines.sqlite.reading import NAMESPACES_AT_ONCE
from store.errors import StorageError
from store.opened.purging import PURGE_EVERY, PURGED_AT_ONCE

OTHER = b"the key of somebody else"


def on_disk(place: str, namespace: str = "") -> int:
    """How many records there are, expired or not."""
    return len(_names(place, namespace))


@pytest.fixture
def s(place: str, clock: Any) -> Iterator[Store[Any]]:
    """A store whose first write was."""
    with Store[Any](place, clock=clock) as s:
        s["kept"] = 0
        yield s


@pytest.fixture
def in_file(path: Path, clock: Any) -> Iterator[Store[Any]]:
    """The same in a file, whose statements are counted."""
    with Store[Any](path, clock=clock) as s:
        s["kept"] = 0
        yield s


def write(s: Store[Any], times: int) -> None:
    for number in range(times):
        s["kept"] = number


def expire(s: Store[Any], clock: Any, records: int, prefix: str = "n") -> None:
    """Makes that many records, and lets them expire; none of it counts as a write."""
    left = s.opened.purging.left
    with s.transaction():
        for number in range(records):
            s.put(f"{prefix}{number}", number, ttl=5)
    clock.advance(10)
    s.opened.purging.left = left


def test_every_so_many_writes_expired_records_go(s, place, clock):
    write(s, PURGE_EVERY - 1)
    expire(s, clock, 10)
    write(s, 1)
    assert on_disk(place) == 1
    expire(s, clock, 10)
    write(s, PURGE_EVERY - 1)
    assert on_disk(place) == 11
    write(s, 1)
    assert on_disk(place) == 1 == len(s)


def test_writes_between_cost_what_they_did(in_file, clock):
    s = in_file
    expire(s, clock, 10)
    statements: list[str] = []
    s.opened.engine.handle.engine.connection().conn.set_trace_callback(statements.append)
    write(s, PURGE_EVERY - 1)
    assert len(statements) == PURGE_EVERY - 1


def test_with_nothing_expired_the_look_is_a_few_reads(in_file, clock):
    s = in_file
    write(s, PURGE_EVERY - 1)
    statements: list[str] = []
    s.opened.engine.handle.engine.connection().conn.set_trace_callback(statements.append)
    write(s, 1)
    assert len(statements) == 3
    assert [text.split()[0] for text in statements[1:]] == ["SELECT", "WITH"]


@pytest.mark.slow
def test_store_of_sessions_does_not_grow_for_ever(place, clock):
    """Each is written once, and expires; nobody calls purge()."""
    most = 0
    with Store[Any](place, clock=clock, ttl=100) as s:
        for number in range(PURGE_EVERY * 12):
            s[f"session{number}"] = number
            clock.advance(1)
            most = max(most, s.opened.engine.end("") - number) if number % 50 else most
        assert on_disk(place) <= 100 + PURGE_EVERY
        assert len(s) == 99


def test_what_had_gathered_goes_in_small_batches(s, place, clock):
    expire(s, clock, 3 * PURGED_AT_ONCE)
    write(s, PURGE_EVERY)
    assert on_disk(place) == 1 + 2 * PURGED_AT_ONCE
    write(s, 2 * PURGE_EVERY)
    assert on_disk(place) == 1


def test_programs_that_write_once_purge_too(place, clock):
    for number in range(3):
        with Store[Any](place, clock=clock, ttl=5) as s:
            s[f"session{number}"] = number
        clock.advance(10)
    assert on_disk(place) == 1


@pytest.mark.slow
def test_other_namespaces_in_turn(s, place, clock):
    names = [f"namespace{number:03}" for number in range(2 * NAMESPACES_AT_ONCE + 5)]
    with s.transaction():
        for name in names:
            with s.within(name) as inner:
                inner.put("n", 1, ttl=5)
                inner["kept"] = 1
    clock.advance(10)
    s.opened.purging.left = 0
    for _ in range(4):
        write(s, PURGE_EVERY)
    assert [on_disk(place, name) for name in names] == [1] * len(names)


@pytest.mark.slow
def test_namespace_for_each_session(path, clock):
    """A namespace is written once; there are never more than a few times those that live."""
    with Store[Any](path, clock=clock, ttl=100) as s:
        for number in range(PURGE_EVERY * 12):
            s.within(f"{number * 7919 % 10007}")["session"] = number
            clock.advance(1)
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("SELECT count(*) FROM records").fetchone()[0] <= 3 * PURGE_EVERY


@pytest.mark.filterwarnings("ignore:.*sealed with a key")
@pytest.mark.slow
def test_store_of_sessions_does_not_grow_beside_expired_ones_of_another_key(place, clock):
    """A program whose key is new meets those that it wrote with its old one: they stay, before all others."""
    with Store[Any](place, key=OTHER, clock=clock) as s:
        expire(s, clock, 3 * PURGED_AT_ONCE, "foreign")
    with Store[Any](place, clock=clock, ttl=100) as s:
        for number in range(PURGE_EVERY * 40):
            s[f"session{number}"] = number
            clock.advance(1)
        assert on_disk(place) <= 100 + 3 * PURGED_AT_ONCE + 10 * PURGE_EVERY


def test_handles_on_namespaces_count_together(s, place, clock):
    expire(s, clock, 5)
    for number in range(PURGE_EVERY):
        with s.within(f"request{number % 2}") as inner:
            inner["it"] = number
    write(s, 1)
    assert on_disk(place) == 1


@pytest.mark.parametrize("how", ["put", "update", "edit", "modify", "transaction", "setdefault"])
def test_every_way_of_writing_counts(s, place, clock, how):
    expire(s, clock, 5)
    s["list"] = []
    for number in range(PURGE_EVERY):
        if how == "put":
            s.put("it", number)
        elif how == "update":
            s.update({"it": number})
        elif how == "edit":
            with s.edit("list") as values:
                values.append(number)
        elif how == "modify":
            s.modify("it", lambda value: value + 1, 0)
        elif how == "transaction":
            with s.transaction():
                s["it"] = number
        else:
            s.setdefault(f"new{number}", number)
    assert {"n0", "n4"} & set(_names(place)) == set()


def _names(place: str, namespace: str = "") -> list[str]:
    with Store[Any](place, mode="r") as s:
        return [item.name for item in in_pages(s.opened.engine, namespace, Order.INSERTED, fields=Fields.LISTED)]


def test_not_inside_a_transaction_but_after_it(s, place, clock):
    expire(s, clock, 5)
    with s.transaction():
        with s.transaction():
            write(s, 2 * PURGE_EVERY)
        assert s.opened.engine.scan("", Order.EXPIRY, until=clock()).items != []
    assert on_disk(place) == 1


def test_transaction_that_is_rolled_back_purges_nothing(s, place, clock):
    expire(s, clock, 5)
    with pytest.raises(RuntimeError), s.transaction():
        write(s, 2 * PURGE_EVERY)
        raise RuntimeError
    assert on_disk(place) == 6
    write(s, PURGE_EVERY)
    assert on_disk(place) == 1


@pytest.mark.filterwarnings("ignore:.*sealed with a key")
@pytest.mark.slow
def test_only_what_a_key_of_ours_sealed_and_no_others_are_kept_up_by_the_rest(path, clock):
    with Store[Any](path, key=OTHER, clock=clock) as s:
        expire(s, clock, 2 * PURGED_AT_ONCE, "foreign")
    with Store[Any](path, clock=clock) as s:
        s["kept"] = 0
        expire(s, clock, 5, "mine")
        write(s, 4 * PURGE_EVERY)
        assert {name[:4] for name in _names(path)} == {"fore", "kept"}
        assert on_disk(path) == 2 * PURGED_AT_ONCE + 1
        with closing(sqlite3.connect(path)) as conn:  # a record of ours that was made to look expired
            conn.execute("UPDATE records SET expires = 1 WHERE name = 'kept'")
            conn.commit()
        for number in range(4 * PURGE_EVERY):
            s["other"] = number
        assert "kept" in _names(path)
        s["kept"] = 1
        assert s["kept"] == 1


@pytest.mark.slow
def test_views_say_what_they_said(s, clock):
    expire(s, clock, 500)
    for number in range(3 * PURGE_EVERY):
        s["other"] = number
        assert (len(s), list(s), "n1" in s, s.get("n1")) == (2, ["kept", "other"], False, None)


@pytest.mark.slow
def test_iteration_goes_on_while_records_go(s, clock):
    s.update({f"alive{number}": number for number in range(600)})
    expire(s, clock, 600)
    seen = []
    for number, name in enumerate(s):
        seen.append(name)
        s["kept"] = number
    assert seen == ["kept", *(f"alive{number}" for number in range(600))]


def test_files_of_what_is_purged_go(path, clock):
    with Store[Any](path, clock=clock, spill_bytes=1000) as s:
        s["kept"] = 0
        left = s.opened.purging.left
        s.put("large", b"x" * 5000, ttl=5)
        s.opened.purging.left = left
        clock.advance(10)
        write(s, PURGE_EVERY)
        assert on_disk(path) == 1
        assert s.opened.engine.care.orphans() == []
        s.compact()
        assert not list(Path(f"{path}-spill").iterdir())


def test_failure_is_told_by_stats_and_not_by_the_write(s, place, clock, monkeypatch):
    expire(s, clock, 5)

    def failing(*_: Any) -> None:
        raise StorageError("the disk is full", errno=28)

    with monkeypatch.context() as patched:
        patched.setattr(s.opened.engine, "apply", failing)
        write(s, PURGE_EVERY)
    assert s["kept"] == PURGE_EVERY - 1
    assert s.stats().purge_error == "the disk is full"
    assert on_disk(place) == 6
    write(s, PURGE_EVERY)
    assert s.stats().purge_error is None
    assert on_disk(place) == 1


def test_writer_who_is_busy_is_not_waited_for(place, clock):
    """The write has its answer; the purge comes again, and soon."""
    entered, leave = threading.Event(), threading.Event()
    with Store[Any](place, clock=clock) as s:
        needs_held(s)
        s["kept"] = 0
        expire(s, clock, 5)

        def busy() -> None:
            with s.transaction():
                entered.set()
                assert leave.wait(60)

        thread = threading.Thread(target=busy)
        thread.start()
        try:
            assert entered.wait(60)
            s.opened.purge_some()  # it would wait for the store's timeout, a minute
            assert (on_disk(place), s.opened.purging.error) == (6, None)
        finally:
            leave.set()
            thread.join()
        write(s, PURGE_EVERY // 4 + 1)
        assert on_disk(place) == 1


def test_store_in_memory(clock):
    with Store[Any](":memory:", clock=clock) as s:
        s["kept"] = 0
        expire(s, clock, 5)
        write(s, PURGE_EVERY)
        assert s.opened.engine.scan("", Order.EXPIRY, until=clock()).items == []
