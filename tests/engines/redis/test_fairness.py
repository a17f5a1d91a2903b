"""Of processes that all write one record none starves, however they write it."""

from __future__ import annotations

from textwrap import dedent

import pytest
from children import Start

PROCESSES, FEW, SHARE = 8, 400, 0.05

# Each defines `step(s, name)`, which adds 1 to a record and returns what it is then.
INCREMENT = """
    def step(s, name):
        return s.incr(name)
"""
LOCKED = """
    def step(s, name):
        with s.lock(f"of {name}"):
            s[name] = n = s.get(name, 0) + 1
        return n
"""
TRANSACTION = """
    def step(s, name):
        def add(store):
            store[name] = n = store.get(name, 0) + 1
            return n

        return s.transact(add)
"""
# All have done one step before the first one begins to count.
WORK = """
    import json, sys
    from store import Store

    url, total, number = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    mine = 0
    with Store(url, timeout=60) as s:
        step(s, f"own {number}")
        print("ready", flush=True)
        input()
        while step(s, "n") <= total:
            mine += 1
    print(json.dumps(mine))
"""


@pytest.mark.huge  # the shares depend on how the system schedules eight processes: not in CI
@pytest.mark.parametrize("step", [INCREMENT, LOCKED, TRANSACTION], ids=["incr", "lock", "transact"])
def test_none_of_eight_processes_starves_at_one_record(redis_url: str, start: Start, step: str) -> None:
    children = [start(dedent(step) + dedent(WORK), redis_url, FEW, number) for number in range(PROCESSES)]
    for child in children:
        assert child.hear() == "ready"
    for child in children:
        child.say()
    shares = [child.result() for child in children]
    assert sum(shares) == FEW
    assert min(shares) >= SHARE * FEW / PROCESSES, shares
