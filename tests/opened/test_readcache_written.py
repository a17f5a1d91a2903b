"""Rows of a transaction or an update: the first read of each is cached, and none that was not committed."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from interleave import in_thread, is_cached, stored, write_beside
from named_codec import Named

from store import Store
from store.errors import CodecUnavailable
from store.opened.cache_entries import ENTRY_BYTES
from store.opened.readcache import WAITING

MANY = [f"name {number}" for number in range(1200)]


@pytest.fixture
def s(path, clock) -> Iterator[Store]:
    with Store(path, clock=clock) as s:
        s["a"] = ["old"]
        s.opened.look(clock())  # whether the file is in its place: a read does so once a second, and asks the engine
        yield s


def _transaction(s: Store) -> None:
    with s.transaction():
        s["a"] = ["new"]
        s["b"] = 1
        with s.transaction():
            s["c"] = ["new"]


def _two_transactions(s: Store) -> None:
    with s.transaction():
        s["a"] = ["new"]
    with s.transaction():
        s.update(b=1, c=["new"])


def _incr_and_edit(s: Store) -> None:
    s.incr("b")
    with s.edit("a") as value:
        value[0] = "new"
    s.setdefault("c", ["new"])


WRITES: dict[str, Callable[[Store], Any]] = {
    "sets": lambda s: [s.__setitem__("a", ["new"]), s.__setitem__("b", 1), s.__setitem__("c", ["new"])],
    "puts": lambda s: [s.put("a", ["new"]), s.put("b", 1, ttl=9), s.put("c", ["new"])],
    "update": lambda s: s.update(a=["new"], b=1, c=["new"]),
    "update with a name twice": lambda s: s.update([("a", 0), ("b", 1), ("c", ["new"]), ("a", ["new"])]),
    "transaction": _transaction,
    "two transactions": _two_transactions,
    "incr, edit and setdefault": _incr_and_edit,
    "in another thread": lambda s: in_thread(lambda: _transaction(s)),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_first_read_asks_for_nothing(s, asked, write):
    write(s)
    statements = asked(s)
    assert (s["a"], s["b"], s["c"], s.get_many("abc")) == (["new"], 1, ["new"], {"a": ["new"], "b": 1, "c": ["new"]})
    assert statements == []


def test_first_read_after_a_long_update_asks_for_nothing(s, asked):
    s.update({name: [name] for name in MANY})
    statements = asked(s)
    assert all(s[name] == [name] for name in MANY)
    assert statements == []


def test_number_that_was_written_is_kept_decoded(s, monkeypatch):
    s.update(number=7, nothing=None)
    s["flag"] = True
    assert is_cached(s, "number")
    monkeypatch.setattr("pickle.loads", None)
    assert (s["number"], s["nothing"], s["flag"]) == (7, None, True)


# -- what must not be kept


def _undo(s: Store) -> None:
    with suppress(ZeroDivisionError), s.transaction():
        s["a"] = "undone"
        s["b"] = "undone"
        1 / 0


def _undo_inside(s: Store) -> None:
    with s.transaction():
        s["a"] = "kept"
        with suppress(ZeroDivisionError), s.transaction():
            s["a"] = "undone"
            s["b"] = "undone"
            1 / 0


def _set_and_delete(s: Store) -> None:
    with s.transaction():
        s["a"] = s["b"] = "deleted"
        del s["b"]
        s["c"] = 1
        s["a"] = "again"


def _set_and_clear(s: Store) -> None:
    with s.transaction():
        s["a"] = s["b"] = "deleted"
        s.clear()
        s["c"] = 1


def _by_another_handle(s: Store) -> None:
    with s.transaction(), Store(s.location, mode="w") as other:
        s["a"] = s["b"] = "deleted"
        del other["b"]
        other["a"] = "another's"


def _set_a_large_one(s: Store) -> None:
    with s.transaction():
        s["a"] = b"small"
        s.put("a", b"x" * 2_000_000)
        s["b"] = b"y" * 2_000_000
        s["b"] = "small again"


def _leave_it_open(s: Store) -> None:
    transaction = s.transaction()
    transaction.__enter__()
    s["a"] = s["b"] = "undone"
    del transaction  # as the frame of an interrupted block goes
    gc.collect()


OTHERS: dict[str, Callable[[Store], Any]] = {
    "rolled back": _undo,
    "rolled back inside": _undo_inside,
    "deleted": _set_and_delete,
    "cleared": _set_and_clear,
    "by another handle": _by_another_handle,
    "with files": _set_a_large_one,
    "with files in one update": lambda s: s.update([("a", "small"), ("b", 1), ("a", b"x" * 2_000_000)]),
    "left open": _leave_it_open,
    "another program after it": lambda s: [_transaction(s), write_beside(s, "a", "another's")],
}


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize("write", OTHERS.values(), ids=OTHERS)
def test_reads_are_what_is_stored(s, write, warm):
    if warm:
        s["a"]
    write(s)
    for _ in range(2):
        for name in "abc":
            assert s.get(name) == stored(s, name)
        assert s.get_many("abc") == dict(s)
    _transaction(s)
    assert s.get_many("abc") == dict(s) == {"a": ["new"], "b": 1, "c": ["new"]}


def test_record_that_expires(path, clock):
    with Store(path, clock=clock, ttl=0.5) as s:
        s.opened.look(clock())
        with s.transaction():
            s["a"] = 1
            s.put("b", 1, ttl=None)
        assert (is_cached(s, "a"), is_cached(s, "b")) == (True, True)
        clock.advance(0.5)
        assert (s.get("a"), s.get("b"), len(s)) == (None, 1, 1)


def test_other_namespace_of_the_transaction(s):
    with s.within("beside") as beside:
        with s.transaction():
            s["a"] = "ours"
            beside["a"] = "beside"
        assert (s["a"], beside["a"]) == ("ours", "beside") == (stored(s, "a"), stored(beside, "a"))


def test_codec_that_is_replaced_before_the_commit(s):
    with s.transaction():
        s.put("x", 1, codec=Named("first"))
        s.put("y", 1, codec=Named("second"))
    assert s["x"] == stored(s, "x") == ["second", "1"]


def test_codec_that_cannot_decode_a_number_fails_the_read_of_that_record_alone(s):
    codec = Named("codec")
    s.put("x", 7, codec=codec)
    codec.decode = lambda body: 1 / 0  # type: ignore[method-assign, assignment]
    with s.transaction():
        s.put("y", 7, codec=codec)
        s["a"] = 1
    assert s["a"] == 1


def test_codec_that_is_unknown_here_fails_the_read_of_that_record_alone(s, path):
    with Store(path, codec=Named("unknown")) as other:
        other["x"] = 7
    s["a"]
    s.touch("x", ttl=9)
    assert s["a"] == ["old"]
    s.touch("x", ttl=9)
    s["a"] = 1  # keeps the rows that wait
    assert s["a"] == 1
    with pytest.raises(CodecUnavailable):
        s["x"]


class _Interrupted(deque[Any]):
    """Waiting rows; before the first are taken a signal handler reads, which keeps them."""

    handler: Callable[[], Any] | None = None

    def popleft(self) -> Any:
        handler, self.handler = self.handler, None
        if handler is not None:
            handler()
        return super().popleft()


def test_signal_handler_that_keeps_the_rows_first(s):
    _transaction(s)
    waiting = s.opened.cache._written = _Interrupted(s.opened.cache._written)
    waiting.handler = lambda: s["a"]
    assert (s["a"], s["b"], s["c"]) == (["new"], 1, ["new"])


# -- how much


def test_rows_of_transactions_that_were_rolled_back_do_not_pile_up(s):
    for _ in range(3 * WAITING):
        _undo(s)
    assert len(s.opened.cache._written) <= WAITING


def test_rows_that_wait_for_the_commit_are_bounded(path, clock):
    limit = 20 * (ENTRY_BYTES + 1000)
    with Store(path, clock=clock, cache_bytes=limit) as s, s.transaction():
        for number in range(100):
            s[str(number)] = [bytes(900)]
            [written] = s.opened.cache._written
            held = sum(
                ENTRY_BYTES + len(row.name) + len(row.body) for _, rows, _ in written._batches for row in rows
            )
            assert written.size == held <= limit
        assert len(written._batches) >= 20


def test_newest_rows_of_an_update_larger_than_the_cache(path, clock, asked):
    with Store(path, clock=clock, cache_bytes=20 * (ENTRY_BYTES + 1000)) as s:
        s.opened.look(clock())
        s.update({str(number): [bytes(900)] for number in range(700)})
        statements = asked(s)
        assert s["699"] == [bytes(900)]
        assert statements == []


def test_rows_of_several_transactions_that_wait_are_bounded(path, clock):
    limit = 20 * (ENTRY_BYTES + 1000)
    with Store(path, clock=clock, cache_bytes=limit) as s:
        s.opened.look(clock())
        for number in range(3 * WAITING):
            s.update({str(number): [bytes(900)], "last": [number]})
            assert sum(written.size for written in s.opened.cache._written) <= 2 * limit
            assert len(s.opened.cache._written) <= WAITING
        assert is_cached(s, "last")
        assert s["last"] == [3 * WAITING - 1]
        for number in range(3 * WAITING):
            assert s[str(number)] == [bytes(900)]


def test_store_without_a_cache_keeps_nothing(path, clock):
    with Store(path, clock=clock, cache_bytes=0) as s:
        _transaction(s)
        s.update(a=1)
        assert not s.opened.cache._written


def test_rows_of_a_transaction_that_was_undone_are_let_go(s):
    s["a"]
    _undo(s)
    write_beside(s, "a", 1)
    s["a"]
    assert not s.opened.cache._written
