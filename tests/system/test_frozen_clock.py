"""Lifetimes in a test of a program that replaces the clock, with freezegun, time-machine or a patch of `time.time`.

None of them was told of the store, which was opened before.
"""

from __future__ import annotations

import datetime
import importlib.util
import sqlite3
import time
from contextlib import ExitStack, closing, contextmanager
from unittest import mock

import pytest

from store import Store
from store.errors import LockTimeout
from store.memo import memo
from store.sessions import Sessions

START = float(int(time.time()) + 10_000_000)  # of the replaced clock: later than the real one
HOUR = 3600


@contextmanager
def by_freezegun():
    from freezegun import freeze_time

    with freeze_time(datetime.datetime.fromtimestamp(START, datetime.UTC)) as frozen:
        yield lambda seconds: frozen.tick(datetime.timedelta(seconds=seconds))


@contextmanager
def by_time_machine():
    import time_machine

    with time_machine.travel(START, tick=False) as traveller:
        yield traveller.shift


@contextmanager
def by_patch():
    with mock.patch("time.time", return_value=START) as patched:

        def shift(seconds):
            patched.return_value += seconds

        yield shift


def needs(module):
    found = importlib.util.find_spec(module) is not None
    return pytest.mark.skipif(not found, reason=f"{module} is not installed (extra `test`)")


CLOCKS = [
    pytest.param(by_freezegun, marks=needs("freezegun")),
    pytest.param(by_time_machine, marks=needs("time_machine")),
    by_patch,
]
replaced = pytest.mark.parametrize("clock", CLOCKS)


@replaced
def test_ttl_under_a_replaced_clock(path, clock):
    with Store(path) as s, clock() as shift:
        s.put("a", 1, ttl=HOUR)
        s.put("b", {"not": "a scalar"}, ttl=2 * HOUR)
        assert (s["a"], s["b"], len(s), "a" in s) == (1, {"not": "a scalar"}, 2, True)
        assert s.record("a").expires.timestamp() == START + HOUR
        shift(HOUR)
        assert (s.get("a"), "a" in s, s.names(), len(s)) == (None, False, ["b"], 1)
        assert s.purge() == 1
        shift(HOUR)
        assert dict(s) == {}
        s.put("c", 1, ttl=HOUR)
    assert time.time() < START  # the clock is the real one again
    with Store(path) as s:
        assert s["c"] == 1


@replaced
def test_store_opened_while_the_clock_is_replaced(path, clock):
    with ExitStack() as stack:
        with clock() as shift:
            s = stack.enter_context(Store(path, ttl=HOUR))
            s["a"] = 1
            shift(HOUR)
            assert "a" not in s
        assert s["a"] == 1
        s["now"] = 1
        assert abs(s.record("now").created.timestamp() - time.time()) < HOUR


@replaced
def test_sessions_under_a_replaced_clock(path, clock):
    with Sessions(path, ttl=HOUR) as sessions, clock() as shift:
        key = sessions.create({"user": 1})
        shift(HOUR - 1)
        assert sessions.load(key) is not None
        shift(2 * HOUR)
        assert sessions.load(key) is None


@replaced
def test_memo_under_a_replaced_clock(path, clock):
    calls = []

    with Store(path) as s, clock() as shift:

        @memo(s, ttl=HOUR)
        def load(x):
            calls.append(x)
            return x

        load(1), load(1)
        assert calls == [1]
        shift(HOUR)
        load(1), load(1)
        assert calls == [1, 1]


@replaced
def test_wait_for_a_lock_ends_under_a_replaced_clock(path, clock):
    with Store(path, timeout=0.05) as s, closing(sqlite3.connect(path, isolation_level=None)) as other:
        s["a"] = 1
        other.execute("BEGIN IMMEDIATE")
        with clock(), pytest.raises(LockTimeout):
            s["a"] = 2
        other.execute("ROLLBACK")
        assert s["a"] == 1
