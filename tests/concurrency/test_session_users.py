"""`Sessions.by(user).end()` beside other processes: no session that was there stays, and no kill leaves one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from textwrap import dedent
from typing import Any

import pytest
from children import SHORT_LEASES
from free import needs_held

from store.sessions import Sessions

WAIT_SECONDS = 60

# Gives its session a new id until there is none, as an application that rotates at every request.
ROTATING = """
    import os, sys
    from store.sessions import Sessions
    with Sessions(sys.argv[1], shards=int(os.environ["SHARDS"])) as sessions:
        ids = [sessions.create({}, user="ann")]
        print("ready", flush=True)
        while (id := sessions.rotate(ids[-1], user="ann")) is not None:
            ids.append(id)
        print(*ids)
"""

# Logs in over and over, and tells of each session that it has.
CREATING = """
    import os, select, sys
    from store.sessions import Sessions
    with Sessions(sys.argv[1], shards=int(os.environ["SHARDS"])) as sessions:
        while not select.select([sys.stdin], [], [], 0)[0]:
            id = sessions.rotate(sessions.create({}), user="ann")
            print(id, flush=True)
        print("end", flush=True)
"""

# Stands still behind a step of an operation that is not committed yet, and says "inside" there.
INSIDE = """
    import os, sys
    from store import Store
    from store.sessions import Sessions
    def standing(method):
        def stand(*args, **options):
            result = method(*args, **options)
            print("inside", flush=True)
            sys.stdin.readline()
            return result
        return stand
    with Sessions(sys.argv[1], shards=int(os.environ["SHARDS"])) as sessions:
        id = sys.stdin.readline().strip()
        if sys.argv[2] == "rotate":
            Store.put = standing(Store.put)
            print(sessions.rotate(id) or "none", flush=True)
        elif sys.argv[2] == "login":
            Store.put = standing(Store.put)
            print(sessions.rotate(id, user="ann") or "none", flush=True)
        elif sys.argv[2] == "end":
            Store.delete_many = standing(Store.delete_many)
            print(sessions.by("ann").end(), flush=True)
        else:
            with sessions.edit(id) as data:
                data["late"] = True
                print("inside", flush=True)
                sys.stdin.readline()
            print("written", flush=True)
"""


@pytest.fixture(params=[1, 3], ids=["", "shards"])
def sessions(request, place, monkeypatch) -> Iterator[Sessions]:
    """In one namespace, or in shards; the programs of the test open as many."""
    monkeypatch.setenv("SHARDS", str(request.param))
    with Sessions(place, shards=request.param) as opened:
        yield opened


@pytest.fixture
def inside(sessions: Sessions, place, program: Callable[..., Any]) -> Callable[..., Any]:
    """A program that stands still inside an operation: `inside(operation, id)`; `before`: its first lines."""

    def begin(operation: str, id: str, before: str = "") -> Any:
        child = program(before + dedent(INSIDE), place, operation)
        child.tell(id)
        assert child.line() == "inside"
        return child

    return begin


@pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=pytest.mark.heavy)])
@pytest.mark.slow
def test_sessions_that_others_rotate_meanwhile_are_all_ended(sessions, place, program, rounds):
    for _ in range(rounds):
        children = [program(ROTATING, place) for _ in range(2)]
        assert [child.line() for child in children] == ["ready"] * 2
        assert sessions.by("ann").end() == 2
        used = [id for child in children for id in child.output().split()]  # they end because they have none
        assert [sessions.load(id) for id in used] == [None] * len(used)
        assert (len(sessions.by("ann")), len(sessions)) == (0, 0)


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.heavy)])
@pytest.mark.slow
def test_login_that_was_acknowledged_before_is_ended(sessions, place, program, rounds):
    children = [program(CREATING, place) for _ in range(2)]
    for _ in range(rounds):
        before = [child.line() for child in children]
        sessions.by("ann").end()
        assert [sessions.load(id) for id in before] == [None, None]
    for child in children:
        child.tell()
        child.output()
    sessions.by("ann").end()
    assert (len(sessions.by("ann")), len([r for r in sessions.records() if "." in r.name])) == (0, 0)


@pytest.mark.parametrize("operation", ["rotate", "edit"])
@pytest.mark.slow
def test_end_waits_for_an_operation_that_has_begun(sessions, inside, operation):
    id = sessions.create({}, user="ann")
    child = inside(operation, id)
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(sessions.by("ann").end)
        child.tell()
        assert ended.result(WAIT_SECONDS) == 1
    done = child.line()
    assert sessions.load(id) is sessions.load(done) is None
    assert len(sessions) == 0


@pytest.mark.parametrize("operation", ["rotate", "login", "edit", "end"])
@pytest.mark.slow
def test_operation_that_is_killed_leaves_all_to_be_ended(sessions, inside, operation):
    ids = [sessions.create({"n": n}, user="ann") for n in range(3)]
    mine = sessions.create({"n": 3}) if operation == "login" else ids[0]
    inside(operation, mine, SHORT_LEASES).kill()
    assert [sessions.load(id) for id in ids] == [{"n": n} for n in range(3)]  # nothing was committed
    assert sessions.load(mine) is not None
    assert sessions.by("ann").end() == 3
    assert [sessions.load(id) for id in ids] == [None] * 3
    assert len(sessions) == (operation == "login")


@pytest.mark.slow
def test_rotation_that_waits_for_the_end_finds_no_session(sessions, inside, place):
    needs_held(sessions.store)
    id = sessions.create({}, user="ann")
    child = inside("end", id)
    with Sessions(place, shards=int(os.environ["SHARDS"])) as other, ThreadPoolExecutor(1) as pool:
        rotated = pool.submit(other.rotate, id)
        child.tell()
        assert child.line() == "1"
        assert rotated.result(WAIT_SECONDS) is None
    assert len(sessions) == 0


def test_end_by_many_at_once_counts_each_session_once(sessions):
    for _ in range(20):
        sessions.create({}, user="ann")
    with ThreadPoolExecutor(4) as pool:
        counts = [done.result(WAIT_SECONDS) for done in [pool.submit(sessions.by("ann").end) for _ in range(4)]]
    assert (sum(counts), len(sessions)) == (20, 0)


def test_end_in_a_forked_child(sessions, forked):
    sessions.create({}, user="ann")
    assert forked(lambda: sessions.by("ann").end()).result() == 1
    assert len(sessions.by("ann")) == 0

# Does to its sessions what an application does, in an order drawn by its number; tells each id with the first one of
# that session, once it is acknowledged.
WORKING = """
    import os, random, sys
    from store.sessions import NoSuchSession, Sessions
    draw, mine = random.Random(sys.argv[2]), {}
    def tell(first, id):
        mine[first] = id
        print(first, id, flush=True)
    with Sessions(sys.argv[1], shards=int(os.environ["SHARDS"])) as sessions:
        while True:
            if len(mine) < 3 or draw.random() < 0.2:
                id = sessions.create({"n": 0}, user="ann") if draw.random() < 0.5 else sessions.create({"n": 0})
                tell(id, id)
            first, id = draw.choice(list(mine.items()))
            match draw.randrange(6):
                case 0 | 1:
                    new = sessions.rotate(id, user="ann")
                    if new is None:
                        del mine[first]
                    else:
                        tell(first, new)
                case 2:
                    sessions.save(id, {"n": draw.random()}, ttl=draw.choice([60, 600]))
                case 3:
                    sessions.touch(id)
                case 4:
                    try:
                        with sessions.edit(id) as data:
                            data["n"] += 1
                    except NoSuchSession:
                        del mine[first]
                case 5:
                    sessions.delete(id) if draw.random() < 0.1 else sessions.load(id)
"""


@pytest.mark.heavy
def test_nothing_that_was_there_is_left_although_programs_are_killed(sessions, place, program):
    told: list[tuple[str, str]] = []  # first id and id of a session, in the order in which this process heard of them

    def listen(child: Any) -> None:
        told.extend(tuple(line.split()) for line in child.process.stdout if line.endswith("\n"))

    with ThreadPoolExecutor(3) as pool:
        seeds = iter(range(1000))
        children = []
        for round in range(12):
            while len(children) < 3:
                children.append(program(WORKING, place, next(seeds)))
                pool.submit(listen, children[-1])
            heard = len(told)
            while len(told) < heard + 60:  # they are at work
                sessions.load("x" * 43)
            theirs = [id for _, id in told if "." in id]
            sessions.by("ann").end()
            assert [id for id in theirs if sessions.load(id) is not None] == [], round
            if round % 2:
                children.pop(0).kill()
        for child in children:
            child.kill()
    ended = sessions.by("ann").end()
    assert [id for _, id in told if "." in id and sessions.load(id) is not None] == []
    assert [record.name for record in sessions.records() if "." in record.name] == [], ended
