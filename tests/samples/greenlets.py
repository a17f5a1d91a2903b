"""Many greenlets on one store, in a process of its own: `python greenlets.py PATH patched|unpatched`."""

from __future__ import annotations

import os
import sys

PATCHED = sys.argv[2] == "patched"
if PATCHED:
    from gevent import monkey

    monkey.patch_all()

import gevent  # noqa: E402
from gevent.event import Event  # noqa: E402

from store import Store  # noqa: E402
from store.errors import StoreError  # noqa: E402
from store.memo import memo  # noqa: E402
from store.sessions import Sessions  # noqa: E402

MANY, TIMES = 50, 4


def run(function, count=MANY):
    """Have so many greenlets run it to their end."""
    jobs = [gevent.spawn(function, number) for number in range(count)]
    gevent.joinall(jobs, timeout=60, raise_error=True)
    assert all(job.ready() for job in jobs)
    return [job.value for job in jobs]


def edits(number):
    for _ in range(TIMES):
        with s.edit("counts") as counts:
            before = counts["n"]
            gevent.sleep(0)
            counts["n"] = before + 1


def transactions(number):
    with s.transaction():
        s["left"] = s["left"] - 1
        gevent.sleep(0)
        s["right"] = s["right"] + 1
    left, right = s.get_many(["left", "right"]).values()
    assert left + right == 0


def modifies(number):
    for _ in range(TIMES):
        s.modify("n", lambda n: (gevent.sleep(0), n + 1)[1])


def fails(number):
    try:
        with s.transaction():
            s[f"never {number}"] = number
            gevent.sleep(0)
            raise KeyError(number)
    except KeyError:
        return True


def visits(number):
    with sessions.edit(id) as data:
        visits = data["visits"]
        gevent.sleep(0)
        data["visits"] = visits + 1


computed = []


def square(n):
    computed.append(n)
    gevent.sleep(0)
    return n * n


def kept_by_killed():
    """A greenlet that is killed in its block, and one that times out there, leave nothing behind."""
    inside = Event()

    def block():
        with s.transaction():
            s["never killed"] = 1
            inside.set()
            gevent.sleep(3600)

    job = gevent.spawn(block)
    inside.wait(30)
    others = [gevent.spawn(s.__setitem__, f"waited {number}", number) for number in range(5)]
    gevent.sleep(0)
    job.kill(timeout=30)
    gevent.joinall(others, timeout=30, raise_error=True)

    def late(number):
        with gevent.Timeout(0.01, False):
            with s.edit("counts") as counts:
                counts["never"] = number
                gevent.sleep(3600)
        with gevent.Timeout(0.01, False), s.transaction():
            s["never late"] = number
            gevent.sleep(3600)

    run(late, 5)
    s["after"] = 1


def locks(number):
    """Named locks: those that wait do so beside the others, or are told that this thread has it."""
    try:
        with s.lock("job", timeout=30):
            before = held[0]
            gevent.sleep(0)
            held[0] = before + 1
    except StoreError:
        assert not PATCHED


def watched():
    with s.watch(interval=0.01) as changes:
        writer = gevent.spawn(s.__setitem__, "told", 1)
        assert next(changes).name == "told"
        writer.join(30)


def descriptors():
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


with Store(sys.argv[1], timeout=30) as s, Sessions(s) as sessions:
    s.update(counts={"n": 0}, left=0, right=0, n=0)
    id = sessions.create({"visits": 0})
    held = [0]
    memoized = memo(s)(square)
    for function in (edits, transactions, modifies, visits, locks):
        run(function)
    assert all(run(fails))
    assert run(memoized) == [n * n for n in range(MANY)]
    assert run(lambda _: memoized(7)) == [49] * MANY
    kept_by_killed()
    if PATCHED:
        assert held == [MANY]
        assert len(computed) == MANY
        watched()
    before = descriptors()
    kept = [gevent.spawn(s.modify, "n", lambda n: n + 1) for _ in range(100)]  # ended, and not yet collected
    for job in kept:
        job.get(timeout=30)
    for _ in range(100):
        gevent.spawn(s.modify, "n", lambda n: n + 1).get(timeout=30)
    grown = descriptors() - before
    assert s["counts"] == {"n": MANY * TIMES}, s["counts"]
    assert (s["left"], s["right"]) == (-MANY, MANY)
    assert s["n"] == MANY * TIMES + 200
    assert sessions.load(id) == {"visits": MANY}
    assert not [name for name in s if name.startswith("never")]
    assert [s[f"waited {number}"] for number in range(5)] == list(range(5))
    assert grown <= 10, grown
print("well")
