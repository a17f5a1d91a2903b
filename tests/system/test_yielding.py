"""A lock and a queue whose waiters let other greenlets run."""

from __future__ import annotations

import subprocess
import sys
import threading
from queue import Empty, SimpleQueue

import pytest

from store.system.yielding import Mutex, next_of


def test_one_holder_at_a_time():
    mutex, counted = Mutex(), []

    def add() -> None:
        for _ in range(200):
            with mutex:
                counted.append(len(counted))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted == list(range(800))


def test_without_blocking_it_says_that_another_one_has_it():
    mutex = Mutex()
    assert mutex.acquire(blocking=False) and not mutex.acquire(blocking=False)
    mutex.release()
    with mutex:
        assert not mutex.acquire(blocking=False)
    assert mutex.acquire(blocking=False)


def test_interrupt_of_a_wait_leaves_it_to_its_holder(monkeypatch):
    mutex = Mutex()

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("store.system.running.sleep", interrupt)
    with mutex:
        with pytest.raises(KeyboardInterrupt):
            mutex.acquire()
        assert not mutex.acquire(blocking=False)
    assert mutex.acquire(blocking=False)


def test_next_item_of_a_queue():
    queue: SimpleQueue[int] = SimpleQueue()
    queue.put(1)
    assert next_of(queue, 0.0) == 1
    with pytest.raises(Empty):
        next_of(queue, 0.0)


GREENLETS = """
from queue import Empty, SimpleQueue
from store.system.yielding import Mutex, next_of
mutex, queue = Mutex(), SimpleQueue()  # made before, as in a program that opens its store first
from gevent import monkey
monkey.patch_all()
import gevent, time
order = []
def hold():
    with mutex:
        order.append("held")
        time.sleep(0.01)
        queue.put("item")
def wait():
    with mutex:
        order.append("next")
def take():
    order.append(next_of(queue, 30.0))
    try:
        next_of(queue, 0.01)
    except Empty:
        order.append("empty")
gevent.joinall([gevent.spawn(take), gevent.spawn(hold), gevent.spawn(wait)], timeout=30, raise_error=True)
assert sorted(order) == ["empty", "held", "item", "next"], order
"""


@pytest.mark.slow
def test_greenlets_of_a_process_that_was_patched_later_run_meanwhile():
    pytest.importorskip("gevent", reason="gevent is not installed: greenlets were not tested")
    subprocess.run([sys.executable, "-W", "ignore", "-c", GREENLETS], check=True, timeout=60)
