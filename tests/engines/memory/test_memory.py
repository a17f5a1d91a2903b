"""What holds for the engine in memory alone; for what every engine does see `tests/engines/contract`."""

from __future__ import annotations

import threading
import weakref
from contextlib import ExitStack

import pytest
from sealed_rows import row

from store.engines.contract import Order
from store.engines.memory.engine import open_memory
from store.errors import StoreClosed


class Text(str):
    """Can be referred to weakly."""


def test_closing_the_last_handle_frees_all_rows_at_once():
    """Also where a thread that was in a transaction of the store lives on."""
    engine = open_memory(":memory:", mode="c", timeout=5.0, durability="normal")
    other = engine.share()
    content = Text("a type")
    held = weakref.ref(content)
    with engine.transactions.begin():
        engine.put(row("a")._replace(type=content))
    del content
    engine.close()
    assert held() is not None and other.get("", ["a"])
    other.close()
    assert held() is None


INSIDE = {
    "get": lambda rows: rows.get("", ["a"]),
    "scan": lambda rows: rows.scan(None, Order.INSERTED),
    "end": lambda rows: rows.end(None),
    "count": lambda rows: rows.count("", 0.0),
    "namespaces": lambda rows: rows.namespaces(0.0),
}


@pytest.mark.parametrize("read", INSIDE.values(), ids=INSIDE)
@pytest.mark.parametrize("in_transaction", [False, True])
def test_reader_that_is_inside_when_the_last_handle_is_closed_learns_it(read, in_transaction):
    """It found no rows, and took the records for missing."""
    engine = open_memory(":memory:", mode="c", timeout=5.0, durability="normal")
    engine.put(row("a"))

    def work(rows):
        assert read(rows) is not None
        thread = threading.Thread(target=engine.close)
        thread.start()
        thread.join()
        return read(rows)

    with ExitStack() as stack:
        if in_transaction:
            stack.enter_context(pytest.raises(StoreClosed))  # nor does it commit
            stack.enter_context(engine.transactions.begin())
        with pytest.raises(StoreClosed):
            engine.handle.read(work)


@pytest.mark.parametrize("in_transaction", [False, True])
def test_writer_that_is_inside_when_the_last_handle_is_closed_learns_it(in_transaction):
    engine = open_memory(":memory:", mode="c", timeout=5.0, durability="normal")
    seen = []

    def work(view):
        view.load([row("a")])
        engine.close()
        seen.append(1)

    with pytest.raises(StoreClosed), ExitStack() as stack:
        if in_transaction:
            stack.enter_context(engine.transactions.begin())
        engine.handle.write(work)
    assert seen == [1]
    with pytest.raises(StoreClosed):
        engine.get("", ["a"])


@pytest.mark.parametrize("wrong, durability", [("/a/path", "normal"), (":memory:", "some")])
def test_what_cannot_be_opened(wrong, durability):
    with pytest.raises(ValueError, match=r"has no path|unknown durability"):
        open_memory(wrong, mode="c", timeout=5.0, durability=durability)
