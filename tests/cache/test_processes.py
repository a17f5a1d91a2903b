"""A cache under many processes: the bound holds, one computes, tags and figures are right; and after kills and forks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from children import SHORT_LEASES, Crowd, Start

from store import Store
from store.cache import Cache
from store.cache.options import LEAST_BYTES

PROCESSES = 8

# Each writes its own names, and prints the largest size that it saw.
WRITES = """
from store.cache import Cache
place, bound, kind, value, number = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5]
most = 0
with Cache(place, **{kind: bound}) as c:
    for i in range(120):
        c.set(f"{number}-{i}", bytes(value), tag=f"t{i % 5}" if i % 4 == 0 else None)
        if i % 8 == 0:
            c.get(f"{number}-{i}"), c.get("missing")
        most = max(most, len(c) if kind == "max_records" else c.stats().bytes)
print(json.dumps(most))
"""

# One writer, killed by the test at any moment.
ENDLESS = """
import itertools, sys
from store.cache import Cache
with Cache(sys.argv[1], max_records=50) as c:
    print("writes", flush=True)
    for i in itertools.count():
        c.set(f"{sys.argv[2]}-{i % 500}", i, tag="t")
        c.get(f"{sys.argv[2]}-{i % 500}")
"""

COMPUTES = """
from store.cache import Cache
place, counter = sys.argv[1:3]
def compute():
    with open(counter, "a") as lines:
        lines.write("ran\\n")
    return [7]
with Cache(place) as c:
    print(json.dumps(c.get_or_compute("a", compute, ttl=1000)))
"""

# It says that it computes, and waits for a line.
HOLDS = """
import sys
from store.cache import Cache
def compute():
    print("computing", flush=True)
    sys.stdin.readline()
    return "theirs"
with Cache(sys.argv[1]) as c:
    print(c.get_or_compute("a", compute, ttl=1000, early=1e12), flush=True)
"""


@pytest.mark.heavy
def test_bound_of_records_holds_under_many_processes(place: str, crowd: Crowd) -> None:
    seen = crowd(PROCESSES, WRITES, place, 400, "max_records", 10)
    assert 380 < max(seen) <= 400 * 1.05
    with Cache[Any](place, max_records=400) as c:
        stats = c.stats()
        assert (stats.hits, stats.misses) == (PROCESSES * 15, PROCESSES * 15)
        assert stats.evictions == PROCESSES * 120 - len(c)
        tagged = {name for name in c if int(name.partition("-")[2]) % 20 == 0}
        assert c.evict("t0") == len(tagged) > 0
        assert tagged & set(c) == set()


@pytest.mark.heavy
def test_bound_of_bytes_holds_under_many_processes(place: str, crowd: Crowd) -> None:
    bound = 4 * LEAST_BYTES
    seen = crowd(PROCESSES, WRITES, place, bound, "max_bytes", 3000)
    assert bound * 0.9 < max(seen) <= bound * 1.05
    with Cache[Any](place, max_bytes=bound) as c:
        assert c.stats().evictions == PROCESSES * 120 - len(c)
        assert len(c) > 100


@pytest.mark.heavy
def test_killed_writers_leave_a_sound_cache_within_its_bound(place: str, start: Start) -> None:
    writers = [start(ENDLESS, place, number) for number in range(3)]
    for writer in writers:
        assert writer.hear() == "writes"
    with Cache[Any](place, max_records=50) as c:
        for number, writer in enumerate(writers):
            for i in range(20 * (number + 1)):
                c[f"mine-{i}"] = i
            writer.kill()
        c["last"] = 1
        assert len(c) <= 50
        tagged = sum(c.tag_of(name) == "t" for name in c)
        assert c.evict("t") == tagged
        assert all(name == "last" or name.startswith("mine-") for name in c)
        c.cull()
        with Store[Any](place) as s:
            assert s.namespaces() == ["cache"]
            assert s.verify().ok


@pytest.mark.slow
def test_one_of_many_processes_computes(place: str, crowd: Crowd, tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    Cache[Any](place).close()
    assert crowd(PROCESSES, COMPUTES, place, counter) == [[7]] * PROCESSES
    assert counter.read_text() == "ran\n"


@pytest.mark.slow
def test_caller_that_is_killed_lets_another_compute(place: str, start: Start) -> None:
    first = start(SHORT_LEASES + HOLDS, place)
    assert first.hear() == "computing"
    second = start(HOLDS, place)
    first.kill()
    assert second.hear() == "computing"
    second.say()
    assert second.hear() == "theirs"


@pytest.mark.slow
def test_early_value_is_computed_by_one_process_while_others_take_the_old_one(place: str, start: Start) -> None:
    with Cache[Any](place) as c:
        c.get_or_compute("a", lambda: "old", ttl=1000, early=1e12)
        other = start(HOLDS, place)
        assert other.hear() == "computing"
        assert c.get_or_compute("a", lambda: "mine", ttl=1000, early=1e12) == "old"
        other.say()
        assert other.hear() == "theirs"
        assert c["a"] == "theirs"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here: a forked child is not tested")
def test_forked_child_reads_writes_and_counts(place: str) -> None:
    with Cache[Any](place, max_records=10) as c:
        c.set("a", 1, tag="t")
        child = os.fork()
        if child == 0:
            status = 1
            try:
                c["b"] = c["a"] + 1
                for number in range(30):
                    c[f"n{number}"] = number
                status = 0 if len(c) == 10 else 2
                c.close()  # which brings figures to a server
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert (len(c), c.stats().hits, c.stats().evictions) == (10, 1, 22)

