"""Ctrl-C by real signals while a session waits for the server; each place of our own code is in `tests/concurrency`."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from interrupting import Alarm, struck
from postgres_beside import admin as admin
from postgres_beside import beside as beside
from postgres_beside import check_unlocked

from store import Store

# The driver's own generator, dropped in the middle of a pipeline, complains that its connection is closed.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:Exception ignored in. <generator object BasePipeline:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture
def s(postgres_url: str) -> Iterator[Store[Any]]:
    before = {number: signal.getsignal(number) for number in (signal.SIGALRM, signal.SIGINT)}
    with Store[Any](f"{postgres_url}&pool_size=4", timeout=20) as opened:
        yield opened
    for number, handler in before.items():
        signal.signal(number, handler)


def op_transaction(s: Store[Any]) -> None:
    with s.transaction():
        s["a"] = 1
        with s.transaction():
            s["b"] = 1


def op_edit(s: Store[Any]) -> None:
    with s.edit("a", {}) as value:
        value["n"] = 1
        s["b"] = 1


def op_update(s: Store[Any]) -> None:
    s.update(a=1, b=1)


def op_several(s: Store[Any]) -> None:
    with s.within("x") as x, s.transaction(x):
        s["a"] = x["a"] = 1
        s["b"] = 1


# One that strikes in a finalizer or the callback of a weak reference ends there: Python prints it, and goes on.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("operation", [op_transaction, op_edit, op_update, op_several])
@pytest.mark.parametrize("by_thread", [False, True], ids=["timer", "thread"])
def test_interrupt_after_some_time(s, operation, by_thread):
    """More of them than the pool has connections: none is lost."""
    for number in range(15):
        s.clear()
        struck(Alarm(number * 0.0003, by_thread=by_thread), lambda: operation(s))
        check_unlocked(s, f"{number}")
        assert ("a" in s) == ("b" in s)
        s["next"] = number


class Wait:
    """A real signal once the main thread waits for a lock."""

    def __init__(self, admin: Any, beside: Any) -> None:
        self.admin, self.beside = admin, beside
        self.left = 1

    def __enter__(self) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.sender = threading.Thread(target=self._send)
        self.sender.start()

    def __exit__(self, *_: object) -> None:
        self.sender.join()

    def _send(self) -> None:
        while not self.admin.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()[0]:
            pass
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@pytest.mark.parametrize("wait", [
    lambda s: s.__setitem__("a", 2), lambda s: s.modify("a", lambda value: 2), lambda s: s.transact(len),
    lambda s: s.update(a=2), lambda s: s.pop("a"), lambda s: s.delete("a"),
], ids=["set", "modify", "transaction", "update", "pop", "delete"])  # fmt: skip
def test_interrupt_of_a_wait_for_a_lock(s, admin, beside, wait):
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with s.edit("lock", {}):
            s["a"] = 1
            held.set()
            free.wait(60)

    s["a"] = 0
    holder = beside(hold)
    assert held.wait(60)
    with pytest.raises(KeyboardInterrupt), Wait(admin, beside):
        wait(s)
    free.set()
    assert holder.result() is None
    assert s["a"] == 1
    s["a"] = 3
    assert s["a"] == 3
