"""Sessions between processes and threads: `edit` loses nothing, and what was ended does not come back."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from store import Store
from store.sessions import NoSuchSession, Sessions

PROCESSES, THREADS, ROUNDS = 8, 4, 50
WAIT_SECONDS = 60

COUNT = f"""
    import sys
    from store.sessions import Sessions
    with Sessions(sys.argv[1]) as sessions:
        print("ready", flush=True)
        id = sys.stdin.readline().strip()
        for _ in range({ROUNDS}):
            with sessions.edit(id) as data:
                data["count"] += 1
"""

# Says "inside" with the session read, and goes on when it is told to.
INSIDE = """
    import sys
    from store.sessions import Sessions
    with Sessions(sys.argv[1]) as sessions:
        id = sys.stdin.readline().strip()
        if sys.argv[2] == "edit":
            with sessions.edit(id) as data:
                data["late"] = True
                print("inside", flush=True)
                sys.stdin.readline()
            print("written", flush=True)
        else:
            data = sessions.load(id)
            print("inside", flush=True)
            sys.stdin.readline()
            print(sessions.save(id, {**data, "late": True}), flush=True)
"""


def add(sessions: Sessions, id: str) -> None:
    for _ in range(ROUNDS):
        with sessions.edit(id) as data:
            data["count"] += 1


@pytest.mark.heavy
def test_edits_of_eight_processes_and_four_threads_lose_nothing(path, program):
    with Sessions(path) as sessions:
        id = sessions.create({"count": 0})
        children = [program(COUNT, path) for _ in range(PROCESSES)]
        assert [child.line() for child in children] == ["ready"] * PROCESSES
        for child in children:
            child.tell(id)
        with ThreadPoolExecutor(THREADS) as pool:
            for done in [pool.submit(add, sessions, id) for _ in range(THREADS)]:
                done.result(WAIT_SECONDS)
        assert [child.output() for child in children] == [""] * PROCESSES
        assert sessions.load(id) == {"count": (PROCESSES + THREADS) * ROUNDS}


def test_save_of_a_session_that_another_process_deleted_makes_none(path, program):
    with Sessions(path) as sessions:
        id = sessions.create({})
        child = program(INSIDE, path, "save")
        child.tell(id)
        assert child.line() == "inside"
        assert sessions.delete(id) is True
        child.tell()
        assert child.line() == "False"
        assert (sessions.load(id), len(sessions)) == (None, 0)


def test_logout_during_an_edit_of_another_process_waits_and_holds(path, program):
    with Sessions(path) as sessions:
        id = sessions.create({})
        child = program(INSIDE, path, "edit")
        child.tell(id)
        assert child.line() == "inside"
        with ThreadPoolExecutor(1) as pool:
            deleted = pool.submit(sessions.delete, id)
            assert sessions.load(id) == {}  # nobody who reads waits, and nothing is written yet
            child.tell()
            assert child.line() == "written"
            assert deleted.result(WAIT_SECONDS) is True
        assert (sessions.load(id), len(sessions)) == (None, 0)


def test_edit_that_waits_for_a_logout_finds_no_session(path, monkeypatch):
    """The session is there when the edit begins to wait, and gone when its turn comes."""
    with Store(path, trust="own") as s, Sessions(s) as sessions:
        id = sessions.create({})
        looked = threading.Event()
        get = Store.get

        def seen(*args):
            found = get(*args)
            if threading.current_thread() is not threading.main_thread():
                looked.set()
            return found

        monkeypatch.setattr(Store, "get", seen)
        for write, outcome in ((late_edit, "none"), (late_save, False), (late_rotate, None)):
            looked.clear()
            id = sessions.create({})
            with ThreadPoolExecutor(1) as pool:
                with s.transaction():
                    waiting = pool.submit(write, sessions, id)
                    assert looked.wait(WAIT_SECONDS)
                    sessions.delete(id)
                assert waiting.result(WAIT_SECONDS) is outcome or waiting.result() == outcome
            assert sessions.load(id) is None
            assert len(sessions) == 1  # the first one, which nobody touched


def late_edit(sessions: Sessions, id: str) -> str:
    try:
        with sessions.edit(id) as data:
            data["late"] = True
    except NoSuchSession:
        return "none"
    return "written"


def late_save(sessions: Sessions, id: str) -> bool:
    return sessions.save(id, {"late": True})


def late_rotate(sessions: Sessions, id: str) -> str | None:
    return sessions.rotate(id)


def test_rotate_by_many_at_once_gives_one_new_id(place):
    with Sessions(place) as sessions:
        id = sessions.create({"user": "ann"})
        barrier = threading.Barrier(THREADS)

        def rotate() -> str | None:
            barrier.wait(WAIT_SECONDS)
            return sessions.rotate(id)

        with ThreadPoolExecutor(THREADS) as pool:
            results = [done.result(WAIT_SECONDS) for done in [pool.submit(rotate) for _ in range(THREADS)]]
        (new,) = [found for found in results if found is not None]
        assert (sessions.load(new), len(sessions)) == ({"user": "ann"}, 1)


@pytest.mark.slow
def test_sessions_in_a_forked_child(place, forked: Callable):
    with Sessions(place) as sessions:
        id = sessions.create({"count": 0})
        children = [forked(lambda: add(sessions, id)) for _ in range(2)]
        add(sessions, id)
        assert [child.result() for child in children] == [None, None]
        assert sessions.load(id) == {"count": 3 * ROUNDS}


def test_pickled_sessions_in_another_process(place, program):
    source = """
        import pickle, sys
        with pickle.loads(bytes.fromhex(sys.argv[1])) as sessions:
            print(sessions.load(sys.stdin.readline().strip()), sessions.ttl)
    """
    with Sessions(place, ttl=60) as sessions:
        id = sessions.create({"user": "ann"})
        child = program(source, pickle.dumps(sessions).hex())
        child.tell(id)
        assert child.output() == "{'user': 'ann'} 60\n"


@pytest.mark.parametrize("how", ["edit", "rotate"])
def test_interrupt_inside_leaves_the_session_as_it_was(place, how, monkeypatch):
    with Sessions(place) as sessions:
        id = sessions.create({"x": 1})
        if how == "edit":
            with pytest.raises(KeyboardInterrupt), sessions.edit(id) as data:
                data["x"] = 2
                raise KeyboardInterrupt
        else:

            def interrupted(*args):
                raise KeyboardInterrupt

            with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
                patched.setattr(Store, "touch", interrupted)
                sessions.rotate(sessions.create({"x": 1}, ttl=5))
        assert sessions.load(id) == {"x": 1}
        assert sessions.save(id, {"x": 3}) and sessions.load(id) == {"x": 3}


def test_edit_of_one_session_holds_up_nobody_on_a_server(postgres_url):
    """The edit is under way until all of the others are done; with one lock for all sessions they would time out."""
    with Sessions(postgres_url, timeout=5) as sessions, ThreadPoolExecutor(1) as pool:
        one, other = sessions.create({"user": "ann"}), sessions.create({"user": "bob"})
        with sessions.edit(one) as data:
            data["edited"] = True
            assert pool.submit(sessions.touch, other, ttl=50).result() is True
            assert pool.submit(sessions.save, other, {"user": "bob", "saved": True}, ttl=60).result() is True
            new = pool.submit(sessions.rotate, other).result()
        assert sessions.load(one) == {"user": "ann", "edited": True}
        assert sessions.load(new) == {"user": "bob", "saved": True}
