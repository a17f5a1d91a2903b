"""Several processes on one file: exact counts, mutual exclusion, and who holds which lock."""

from __future__ import annotations

import os

import pytest

from store import Store
from store.errors import LockTimeout

PROCESSES = 8
ROUNDS = 500

COUNT = f"""
    import sys
    from store import Store
    with Store(sys.argv[1]) as s:
        print("ready", flush=True)
        sys.stdin.readline()
        for i in range({ROUNDS}):
            if sys.argv[2] == "modify":
                s.modify("count", lambda value: value + 1)
            else:
                with s.edit("list") as values:
                    values.append(int(sys.argv[3]) * {ROUNDS} + i)
"""

HOLD = """
    import sys
    from store import Store
    with Store(sys.argv[1]) as s:
        with s.transaction():
            s["held"] = "inside"
            print("holds", flush=True)
            sys.stdin.readline()
"""


def count(store: Store, how: str, number: int) -> str:
    for i in range(ROUNDS):
        if how == "modify":
            store.modify("count", lambda value: value + 1)
        else:
            with store.edit("list") as values:
                values.append(number * ROUNDS + i)
    return "done"


def check_counted(store: Store, how: str) -> None:
    if how == "modify":
        assert store["count"] == PROCESSES * ROUNDS
    else:
        values = store["list"]
        assert sorted(values) == list(range(PROCESSES * ROUNDS))
        for number in range(PROCESSES):  # each one's own are in its order
            mine = [value for value in values if value // ROUNDS == number]
            assert mine == sorted(mine)


@pytest.mark.heavy
@pytest.mark.parametrize("how", ["modify", "edit"])
def test_counter_of_eight_spawned_processes_is_exact(path, program, how):
    with Store(path) as s:
        s.update(count=0, list=[])
        children = [program(COUNT, path, how, number) for number in range(PROCESSES)]
        assert [child.line() for child in children] == ["ready"] * PROCESSES
        for child in children:
            child.tell()
        assert [child.output() for child in children] == [""] * PROCESSES
        check_counted(s, how)


@pytest.mark.heavy
@pytest.mark.parametrize("how", ["modify", "edit"])
def test_counter_of_eight_forked_processes_is_exact(place, forked, how):
    with Store(place) as s:  # the children use the handle of their parent
        s.update(count=0, list=[])
        children = [forked(lambda number=number: count(s, how, number)) for number in range(PROCESSES)]
        assert [child.result() for child in children] == ["done"] * PROCESSES
        check_counted(s, how)


@pytest.mark.slow
def test_counter_of_two_processes_is_exact(path, program):
    with Store(path) as s:
        s["count"] = 0
        children = [program(COUNT, path, "modify", number) for number in range(2)]
        assert [child.line() for child in children] == ["ready"] * 2
        for child in children:
            child.tell()
        assert [child.output() for child in children] == [""] * 2
        assert s["count"] == 2 * ROUNDS


@pytest.mark.heavy
def test_new_path_opened_by_eight_processes_at_once(path, program):
    source = """
        import sys
        sys.stdin.readline()
        from store import Store
        with Store(sys.argv[1]) as s:
            s[sys.argv[2]] = sys.argv[2]
            print(s.opened.engine.id.hex())
    """
    children = [program(source, path, number) for number in range(PROCESSES)]
    for child in children:
        child.tell()
    assert len({child.output() for child in children}) == 1  # all see the file that one of them made
    with Store(path, trust="own") as s:  # and sealed with the one key that one of them made
        assert dict(s) == {str(number): str(number) for number in range(PROCESSES)}


@pytest.mark.heavy
def test_opening_and_closing_at_once_never_fails(path, program):
    source = """
        import sys
        from store import Store
        for i in range(30):
            with Store(sys.argv[1]) as s:  # the last one to close folds the WAL in, and keeps readers out
                s[f"{sys.argv[2]}-{i}"] = bytes(100_000)
    """
    children = [program(source, path, number) for number in range(4)]
    assert [child.output() for child in children] == [""] * 4
    with Store(path) as s:
        assert len(s) == 4 * 30


@pytest.mark.heavy
def test_iteration_while_others_insert_and_delete(path, program):
    source = """
        import sys
        from store import Store
        me = sys.argv[2]
        with Store(sys.argv[1]) as s:
            print("ready", flush=True)
            for i in range(400):
                s[f"{me}-{i}"] = [me, i]
                if i >= 20:
                    del s[f"{me}-{i - 20}"]
    """
    with Store(path) as s:
        s.update({f"stays-{i}": ["stays", i] for i in range(300)})
        children = [program(source, path, number) for number in range(2)]
        assert [child.line() for child in children] == ["ready"] * 2
        rounds = 0
        while rounds < 3 or any(child.process.poll() is None for child in children):
            rounds += 1
            items = list(s.items() if rounds % 2 else reversed(s.items()))
            for name, (writer, i) in items:
                assert name == f"{writer}-{i}"
            assert sum(name.startswith("stays-") for name, _ in items) == 300
            assert len(items) < 300 + 2 * 400 + 1
        assert [child.output() for child in children] == [""] * 2
        assert len(s) == 300 + 2 * 20


@pytest.mark.slow
def test_lock_timeout_while_another_process_holds_the_lock(path, program):
    with Store(path, timeout=0.2) as s:
        s["a"] = 1
        child = program(HOLD, path)
        assert child.line() == "holds"
        with pytest.raises(LockTimeout, match=r"kept the lock for 0\.2 seconds"):
            s["a"] = 2
        with pytest.raises(LockTimeout):
            s.modify("a", lambda value: value + 1)
        with pytest.raises(LockTimeout), s.edit("a", default=[]):
            raise AssertionError("never entered")
        assert (s["a"], "held" in s) == (1, False)  # reading goes on, and sees nothing of the transaction
        child.tell()
        assert child.output() == ""
        s["a"] = 2
        assert (s["a"], s["held"]) == (2, "inside")


def test_lock_is_released_when_its_holder_is_killed(path, program):
    with Store(path, timeout=30) as s:
        s["held"] = "before"
        child = program(HOLD, path)
        assert child.line() == "holds"
        child.kill()
        s["after"] = 1
        assert dict(s) == {"held": "before", "after": 1}


def test_named_lock_excludes_other_processes_and_ends_with_its_holder(path, program):
    source = """
        import sys
        from store import Store
        with Store(sys.argv[1]) as s, s.lock("job"):
            print("holds", flush=True)
            sys.stdin.readline()
    """
    with Store(path) as s:
        child = program(source, path)
        assert child.line() == "holds"
        with pytest.raises(LockTimeout), s.lock("job", timeout=0.05):
            raise AssertionError("never entered")
        with s.lock("another job", timeout=0.05):
            s["writing"] = "is not held up"
        child.kill()
        with s.lock("job", timeout=30):
            pass


@pytest.mark.slow
def test_other_handles_of_the_process_do_not_drop_its_locks(path, tmp_path, program):
    source = """
        import sys
        from store import Store
        from store.errors import LockTimeout
        with Store(sys.argv[1], timeout=0.2) as s:
            try:
                s["second"] = 2
            except LockTimeout:
                print("stayed out")
    """
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with Store(path) as s:
        s["a"] = 1
        with s.transaction():
            s["a"] = 2
            locks = locks_on(path)
            assert locks  # SQLite's own, or this shows nothing
            for place in (path, link):
                Store(place).close()
                Store(place, mode="r").close()
                with Store(place) as other:
                    assert other["a"] == 2  # the transaction is this thread's, by whatever handle
            assert locks_on(path) == locks
            assert program(source, path).output() == "stayed out\n"
            s["a"] = 3
        assert dict(s) == {"a": 3}
        assert program(source, path).output() == ""
        assert s["second"] == 2


def locks_on(path) -> list[tuple[str, ...]]:
    """The locks of this process on the files of a store: (kind, mode, inode, first byte, last byte)."""
    inodes = {os.stat(f"{path}{suffix}").st_ino for suffix in ("", "-shm", ".lock")}
    # The kernel hands the list out a page at a time, and other processes change it meanwhile: one reading may miss a
    # line that is there, but never invents one.
    fields = []
    for _ in range(20):
        with open("/proc/locks") as lines:
            fields += [line.split() for line in lines if "->" not in line]
    return sorted(
        {
            (kind, mode, place, first, last)
            for _, kind, _, mode, pid, place, first, last in fields
            if int(pid) == os.getpid() and int(place.rpartition(":")[2]) in inodes
        }
    )


def test_stores_on_one_file_share_one_engine(path, tmp_path, monkeypatch):
    soft, hard = tmp_path / "soft.db", tmp_path / "hard.db"
    monkeypatch.chdir(tmp_path)
    with Store(path) as s:
        s["a"] = 1
        soft.symlink_to(path)
        os.link(path, hard)
        with Store(soft) as by_link, Store(hard) as by_hard_link, Store("app.db") as relative:
            engines = {id(one.opened.engine.handle.engine) for one in (s, by_link, by_hard_link, relative)}
            assert len(engines) == 1
            with s.transaction():
                by_link["b"] = 2
                by_hard_link["c"] = 3
                assert dict(relative) == {"a": 1, "b": 2, "c": 3}
    hard.unlink()
