"""Stores in every state, while processes are started in each way: a program of its own, for it starts many.

    python started.py METHOD PATH      METHOD: fork, spawn or forkserver

Prints, by state, what the children and the parent saw of it, as JSON.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

from store import Store

PROCESSES, THREADS = 8, 16
TIMEOUT = 60.0  # seconds
SPILL_BYTES = 1_000
BIG = bytes(range(256)) * 20

inherited: Store[Any] | None = None  # what a forked child has without being given it


@contextmanager
def fresh(s: Store[Any]) -> Iterator[object]:
    yield


@contextmanager
def read_only(s: Store[Any]) -> Iterator[object]:
    with Store[Any](s.location, mode="r") as reading:
        yield reading["a"]


@contextmanager
def written(s: Store[Any]) -> Iterator[object]:
    s["written"] = 1
    yield


@contextmanager
def cached(s: Store[Any]) -> Iterator[object]:
    assert [s["a"] for _ in range(3)] == [1] * 3 and len(s)
    yield


@contextmanager
def iterated(s: Store[Any]) -> Iterator[object]:
    s.update({f"row {i}": i for i in range(700)})  # several pages
    items = iter(s.items())
    next(items)
    yield
    assert sum(name.startswith("row") for name, _ in items) == 700


@contextmanager
def mapped(s: Store[Any]) -> Iterator[object]:
    import pickle

    s["buffer"] = pickle.PickleBuffer(bytearray(BIG))
    held = s["buffer"]
    yield
    s["buffer"] = 0
    s.compact()
    assert bytes(held) == BIG


@contextmanager
def locked(s: Store[Any]) -> Iterator[object]:
    with s.lock("job"):
        yield


@contextmanager
def watched(s: Store[Any]) -> Iterator[object]:
    with s.watch(names=["count"], timeout=0) as changes:
        yield
        assert [change.name for change in changes] == ["count"]


@contextmanager
def dirty(s: Store[Any]) -> Iterator[object]:
    """Live values that changed: each process has its own, and the child begins with none."""
    with Store[Any](s.location, writeback=True) as live:
        live["live"] = []
        live["live"].append("parent")
        yield
    assert s["live"] == ["parent"]


@contextmanager
def closed(s: Store[Any]) -> Iterator[object]:
    other = Store[Any](s.location)
    other["a"] = 1
    other.close()
    yield


@contextmanager
def in_memory(s: Store[Any]) -> Iterator[object]:
    with Store[Any](":memory:") as other:
        other["a"] = "parent"
        yield
        assert dict(other) == {"a": "parent"}


@contextmanager
def in_transaction(s: Store[Any]) -> Iterator[object]:
    with s.transaction():
        s["inside"] = s["count"]
        yield
        s["inside"] = "done"


@contextmanager
def in_edit(s: Store[Any]) -> Iterator[object]:
    with s.edit("edited", []) as value:
        yield
        value.append("edited")


IDLE: dict[str, Callable[[Store[Any]], Any]] = {
    one.__name__: one
    for one in (fresh, read_only, written, cached, iterated, mapped, locked, watched, dirty, closed, in_memory)
}
BUSY: dict[str, Callable[[Store[Any]], Any]] = {one.__name__: one for one in (in_transaction, in_edit)}


def work(s: Store[Any], number: int) -> str:
    """What a child does with the store it was given, or has inherited; and whether all was as it should be."""
    try:
        with s:
            return _work(s, number)
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"


def work_inherited(number: int) -> str:
    assert inherited is not None
    try:
        return _work(inherited, number)
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"


def _work(s: Store[Any], number: int) -> str:
    assert s["a"] == 1 and len(s) > 1
    s.modify("count", lambda count: count + 1)
    with s.transaction():
        s[f"child {number}"] = number
        s[f"big {number}"] = BIG
    assert s[f"big {number}"] == BIG
    with s.edit("names", []) as names:
        names.append(number)
    return "worked"


def read(s: Store[Any]) -> Any:
    try:
        with s:
            return s["a"]
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"


def play(method: str, path: str) -> dict[str, Any]:
    """Each state in its turn, with processes that were started before it and, where it is cheap, others within it."""
    global inherited
    seen: dict[str, Any] = {}
    context = multiprocessing.get_context(method)
    with ExitStack() as stack:
        s = stack.enter_context(Store[Any](path, spill_bytes=SPILL_BYTES, timeout=TIMEOUT))
        s.update(a=1, count=0)
        inherited = s
        pool = stack.enter_context(ProcessPoolExecutor(PROCESSES if method == "fork" else 2, mp_context=context))
        threads = stack.enter_context(ThreadPoolExecutor(THREADS))
        number = 0
        for name, state in IDLE.items():
            with state(s):
                numbers = range(number, number + 4)
                number += 4
                beside = [threads.submit(s.modify, "count", lambda count: count + 1) for _ in range(THREADS)]
                answers = list(pool.map(work, [s] * 4, numbers, timeout=TIMEOUT))
                if method == "fork":  # a process that is started in that very state
                    answers += _forked(context, number)
                    number += 1
                for one in beside:
                    one.result(TIMEOUT)
                seen[name] = sorted(set(answers))
        for name, state in BUSY.items():
            with state(s):
                answers = [pool.submit(read, s).result(TIMEOUT)]
                if method == "fork":
                    answers += _forked(context, number)
                seen[name] = answers
        seen["left"] = [s["inside"], s["edited"]]
        seen["count"] = [s["count"], len(s["names"]), number + THREADS * len(IDLE)]
        seen["sound"] = s.verify().ok
    return seen


def _forked(context: Any, number: int) -> list[str]:
    """The answer of a child that has the store from its parent, which has it in some state."""
    with ProcessPoolExecutor(1, mp_context=context) as other:
        return [other.submit(work_inherited, number).result(TIMEOUT)]


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: forks beside threads; we test just that
    print(json.dumps(play(sys.argv[1], sys.argv[2])))
    sys.stdout.flush()
    assert threading.active_count() == 1, threading.enumerate()
