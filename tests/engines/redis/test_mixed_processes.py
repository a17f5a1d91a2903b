"""Processes mix plain writes with all that reads before it writes: nothing is lost or doubled, and nobody starves."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from children import Crowd

from store import Store

ROUNDS = 12

WORK = """
    import random
    from store.errors import Conflict

    url, processes, rounds, number = sys.argv[1], *map(int, sys.argv[2:])
    rng, done, taken, first = random.Random(number), 0, [], 0
    with Store(url, timeout=60) as s, s.within("queue") as queue:
        for i in range(rounds):
            steps = list(range(9))
            rng.shuffle(steps)
            for step in steps:
                if step == 0:
                    s.incr("count")
                elif step == 1:
                    s.modify("count", lambda value: value + 1)
                elif step == 2:  # told where a put of another one came first
                    while True:
                        try:
                            with s.edit("edited", {"n": 0}) as value:
                                value["n"] += 1
                            break
                        except Conflict:
                            pass
                elif step == 3:
                    s["written"] = number
                elif step == 4:
                    s.update([("written", 1), (f"own {number}", i), ("written", 2), ("other", 3)])
                elif step == 5:
                    queue[f"{number} {i}"] = i
                elif step == 6:
                    found = queue.pop(f"{(number + 1) % processes} {i}", None)
                    taken += [] if found is None else [f"{(number + 1) % processes} {found}"]
                elif step == 7:
                    try:
                        taken.append(queue.popitem(last=rng.random() < 0.5)[0])
                    except KeyError:
                        pass
                else:
                    name = f"{rng.randrange(processes)} {rng.randrange(i + 1)}"
                    taken += [name] if queue.delete(name) else []
                    s.transact(lambda store: store.__setitem__("blocks", store.get("blocks", 0) + 1))
                    done += s.add(f"slot {i}", number)
                    first += s.setdefault(f"first {i}", number) == number
    print(json.dumps([taken, done, first]))
"""


@pytest.mark.timeout(240)
@pytest.mark.parametrize("processes", [2, pytest.param(8, marks=pytest.mark.heavy)])
def test_nothing_is_lost_and_nothing_is_doubled(url: str, crowd: Crowd, processes: int) -> None:
    with Store[Any](url) as s:
        s.update(count=0, written=0, other=0)
    results = crowd(processes, WORK, url, processes, ROUNDS)
    each = processes * ROUNDS
    with Store[Any](url) as s, s.within("queue") as queue:
        assert s["count"] == 2 * each and s.record("count").revision == 2 * each + 1
        assert s["edited"] == {"n": each} and s["blocks"] == each
        assert s.record("written").revision == 3 * each + 1 and s.record("other").revision == each + 1
        assert sum(done for _, done, _ in results) == ROUNDS == sum(name.startswith("slot") for name in s)
        assert sum(first for *_, first in results) == ROUNDS
        counted = Counter(name for taken, *_ in results for name in taken) + Counter(queue.keys())
        assert counted == Counter(f"{number} {i}" for number in range(processes) for i in range(ROUNDS))
        assert s.verify().ok


FEW, SHARE = 400, 0.05

INCREMENTS = """
    url, total = sys.argv[1], int(sys.argv[2])
    mine = 0
    with Store(url, timeout=60) as s:
        while s.incr("n") <= total:
            mine += 1
    print(json.dumps(mine))
"""
LOCKED = """
    url, total = sys.argv[1], int(sys.argv[2])
    mine = 0
    with Store(url, timeout=60) as s:
        while True:
            with s.lock("job"):
                s["n"] = n = s.get("n", 0) + 1
            if n > total:
                break
            mine += 1
    print(json.dumps(mine))
"""
TRANSACTIONS = """
    def step(s):
        n = s.get("n", 0) + 1
        s["n"] = n
        return n

    url, total = sys.argv[1], int(sys.argv[2])
    mine = 0
    with Store(url, timeout=60) as s:
        while s.transact(step) <= total:
            mine += 1
    print(json.dumps(mine))
"""


@pytest.mark.heavy
@pytest.mark.parametrize("work", [INCREMENTS, LOCKED, TRANSACTIONS], ids=["incr", "lock", "transact"])
def test_none_of_eight_processes_starves_at_one_record(redis_url: str, crowd: Crowd, work: str) -> None:
    shares = crowd(8, work, redis_url, FEW)
    assert sum(shares) == FEW
    assert min(shares) >= SHARE * FEW / 8, shares
