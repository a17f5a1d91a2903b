"""A connection goes when the thread that used it has ended, whatever started it."""

from __future__ import annotations

import _thread
import ctypes
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from store import Store

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors by /proc")

MANY = 60
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)


def by_thread(work: Callable[[], Any]) -> None:
    """`_thread`, of which `threading` knows nothing, as of those that a library in C starts."""
    ended = _thread.allocate_lock()
    ended.acquire()

    def body() -> None:
        try:
            work()
        finally:
            ended.release()

    _thread.start_new_thread(body, ())
    assert ended.acquire(timeout=30)


def by_threading(work: Callable[[], Any]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)


def by_c(work: Callable[[], Any]) -> None:
    """A thread of C that calls Python, as those of Qt and of audio libraries do."""
    pthread = ctypes.CDLL(None)

    def body(_: object) -> None:
        work()

    callback, number = CALLBACK(body), ctypes.c_ulong()
    assert pthread.pthread_create(ctypes.byref(number), None, callback, None) == 0
    assert pthread.pthread_join(number, None) == 0


@pytest.mark.parametrize("start", [by_thread, by_threading, by_c])
def test_descriptors_stay_flat(path, start):
    with Store(path) as s:
        s["n"] = 0
        engine = s.opened.engine.handle.engine
        for _ in range(MANY):
            start(lambda: s.modify("n", lambda n: n + 1))
        assert s["n"] == MANY
        assert len(engine.pool.all()) <= 5  # a thread may end a moment after it said so
        assert sum(slot.conn is not None for slot in engine.pool.all()) <= 5


def test_transaction_that_a_thread_left_open_is_rolled_back(path):
    with Store(path, timeout=30) as s:

        def leave_open() -> None:
            transaction = s.transaction()
            transaction.__enter__()
            s["a"] = 1

        by_thread(leave_open)
        s["b"] = 1
        assert dict(s) == {"b": 1}
