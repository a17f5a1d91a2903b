"""`lock`: named locks between threads and processes, for the program's own purposes."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from threads import in_thread

from store import Store
from store.engines.named_locks import NamedLocks
from store.errors import LockTimeout, StoreClosed, StoreError

HOLDER = """
    import sys
    from store import Store
    with Store(sys.argv[1]) as s, s.lock(sys.argv[2]):
        print("inside", flush=True)
        input()
    print("1")
    """


@pytest.fixture
def shared(location: str) -> str:
    """The location of a store that other processes can open."""
    if location == ":memory:":
        pytest.skip("other processes do not see this one's memory")
    return location


def take(s: Store[Any], name: str, timeout: float | None = 0) -> None:
    with s.lock(name, timeout):
        pass


def test_excludes_other_threads(s: Store[Any]) -> None:
    with s.lock("job"):
        error = in_thread(lambda: take(s, "job"))
        assert isinstance(error, LockTimeout)
        assert isinstance(error, TimeoutError)
        assert "'job'" in str(error)
        assert in_thread(lambda: take(s, "another job")) is None
    assert in_thread(lambda: take(s, "job")) is None


def test_is_waited_for(s: Store[Any]) -> None:
    asked, order = threading.Event(), []

    def other() -> None:
        asked.set()
        with s.lock("job", timeout=20):
            order.append("second")

    thread = threading.Thread(target=other)
    with s.lock("job"):
        thread.start()
        assert asked.wait(10)
        order.append("first")
    thread.join(20)
    assert order == ["first", "second"]


def test_is_given_back_after_an_exception(s: Store[Any]) -> None:
    with pytest.raises(RuntimeError), s.lock("job"):
        raise RuntimeError
    assert in_thread(lambda: take(s, "job")) is None


def test_taken_twice_by_one_thread_raises_at_once(s: Store[Any]) -> None:
    with s.lock("job"):
        with pytest.raises(StoreError, match="holds the lock 'job' already"), s.lock("job", timeout=1000):
            pytest.fail("got in")
        assert isinstance(in_thread(lambda: take(s, "job")), LockTimeout), "the first one holds still"
        with s.lock("other job"):
            pass
    take(s, "job")


def test_inside_a_transaction_or_edit_raises_at_once(s: Store[Any]) -> None:
    s["a"] = []
    before = s.lock("job")
    with s.transaction():
        with pytest.raises(StoreError, match="take the lock first"), s.lock("job"):
            pytest.fail("got in")
        with pytest.raises(StoreError, match="take the lock first"), before:
            pytest.fail("got in")
    with s.edit("a"), pytest.raises(StoreError, match="take the lock first"), s.lock("job"):
        pytest.fail("got in")
    with s.lock("job"), s.transaction():
        s["b"] = 1
    assert s["b"] == 1


def test_default_timeout_is_that_of_the_store(place: str) -> None:
    with Store[Any](place, timeout=0) as s, s.lock("job"):
        assert isinstance(in_thread(lambda: take(s, "job", None)), LockTimeout)


@pytest.mark.parametrize("name", ["", "../../escape", "/root", "a/b", "x" * 65536, ".", "con"])
def test_any_text_is_a_name(path: Path, name: str) -> None:
    with Store[Any](path) as s:
        with s.lock(name):
            assert isinstance(in_thread(lambda: take(s, name)), LockTimeout)
            folder = Path(f"{path}-locks")
            assert len(list(folder.iterdir())) == 1
        assert {child.name for child in path.parent.iterdir()} >= {path.name, folder.name}


def test_refuses_what_makes_no_sense(s: Store[Any]) -> None:
    with pytest.raises(TypeError, match="int"):
        s.lock(1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="timeout"):
        s.lock("job", -1)
    with pytest.raises(ValueError, match="timeout"):
        s.lock("job", float("nan"))
    with pytest.raises(TypeError, match="timeout"):
        s.lock("job", "1")  # type: ignore[arg-type]
    s.close()
    with pytest.raises(StoreClosed):
        s.lock("job")


@pytest.mark.slow
def test_excludes_other_processes(place: str, start: Any) -> None:
    with Store[Any](place) as s:
        holder = start(HOLDER, place, "job")
        holder.hear()
        with pytest.raises(LockTimeout):
            take(s, "job", 0.02)
        take(s, "another job")
        s["a"] = "writers are not held up"
        holder.say()
        assert holder.result() == 1
        take(s, "job")


@pytest.mark.slow
def test_of_a_process_that_is_killed_is_free(path: Path, start: Any) -> None:
    holder = start(HOLDER, path, "job")
    holder.hear()
    holder.kill()
    with Store[Any](path) as s:
        take(s, "job", 20)


def test_is_apart_from_the_lock_of_writers(place: str, start: Any) -> None:
    writer = start(
        """
        import sys
        from store import Store
        with Store(sys.argv[1]) as s, s.transaction():
            s["a"] = 1
            print("inside", flush=True)
            input()
        """,
        place,
    )
    writer.hear()
    with Store[Any](place) as s:
        take(s, "job")
        take(s, "a")
    writer.kill()


@pytest.mark.slow
def test_makes_steps_of_the_program_one_between_processes(place: str, tmp_path: Path, crowd: Any) -> None:
    counter = tmp_path / "counter.txt"
    counter.write_text("0")
    crowd(
        4,
        """
        from pathlib import Path
        counter = Path(sys.argv[2])
        with Store(sys.argv[1]) as s:
            for _ in range(50):
                with s.lock("counter"):
                    counter.write_text(str(int(counter.read_text()) + 1))
        print("null")
        """,
        place,
        counter,
    )
    assert counter.read_text() == "200"


HASTY = """
    import sys
    from store import Store
    with Store(sys.argv[1]) as s:
        for _ in range(100):
            with s.lock("job", timeout=50):
                s["inside"] = s.get("inside", 0) + 1
                assert s["inside"] == 1, s["inside"]
                s["inside"] = 0
                s["done"] = s.get("done", 0) + 1
    print("1")
    """


def test_names_that_nobody_holds_leave_no_file_behind(s: Store[Any], tmp_path: Path) -> None:
    descriptors = 0
    for number in range(100):
        if number == 50:  # by now it has connections to all servers of a cluster
            descriptors = len(os.listdir("/dev/fd"))
        take(s, f"job {number}")
        with s.lock("outer"):
            assert isinstance(in_thread(lambda: take(s, "outer")), LockTimeout)
    assert len(os.listdir("/dev/fd")) <= descriptors + 2
    assert list(tmp_path.glob("*-locks/*")) == []
    gc.collect()
    locks = s.opened.engine.locks
    if isinstance(locks, NamedLocks):  # on a server a lock is a row
        assert locks._known.data == {}


@pytest.mark.slow
def test_file_that_goes_with_each_holder_excludes_the_next_ones(shared: str, tmp_path: Path, crowd: Any) -> None:
    """Who waits for a file that is removed, or comes just then, locks another one: nobody is inside with somebody."""
    Store(shared).close()
    assert crowd(3, HASTY, shared) == [1] * 3
    with Store[Any](shared) as s:
        assert s["done"] == 300
    assert list(tmp_path.glob("*-locks/*")) == []


class TestObject:
    """`acquire` and `release`, as those of `threading.Lock`."""

    def test_is_taken_and_given_back(self, s: Store[Any]) -> None:
        lock, other = s.lock("job"), s.lock("job")
        assert (lock.locked(), lock.lost, lock.fence) == (False, False, None)
        assert lock.acquire() is True
        assert (lock.locked(), other.locked(), lock.lost) == (True, False, False)
        assert other.acquire(timeout=0) is other.acquire(blocking=False) is other.acquire(timeout=0.01) is False
        assert isinstance(in_thread(lambda: take(s, "job")), LockTimeout)
        lock.release()
        assert other.acquire(timeout=0) is True
        assert not lock.locked()
        other.release()
        take(s, "job")

    def test_any_thread_may_give_it_back(self, s: Store[Any]) -> None:
        lock = s.lock("job")
        assert in_thread(lock.acquire) is True, "the thread that took it has ended"
        assert lock.locked()
        assert in_thread(lambda: take(s, "job")) is not None, "a thread of the same number, perhaps"
        assert s.lock("job").acquire(timeout=0) is False
        lock.release()
        take(s, "job")

    def test_is_waited_for_by_the_thread_that_has_it(self, s: Store[Any]) -> None:
        lock, waits = s.lock("job"), threading.Event()
        assert lock.acquire()

        def give_back() -> None:
            assert waits.wait(60)
            lock.release()

        thread = threading.Thread(target=give_back)
        thread.start()
        waits.set()
        assert s.lock("job").acquire(timeout=30) is True
        thread.join(20)

    def test_is_the_one_of_with(self, s: Store[Any]) -> None:
        lock = s.lock("job")
        with lock as entered:
            assert entered is lock
            assert lock.locked()
            assert s.lock("job").acquire(blocking=False) is False
        assert not lock.locked()
        with lock:
            lock.release()
            take(s, "job", 60)
        assert lock.acquire()
        lock.release()

    def test_is_dropped_with_the_object(self, s: Store[Any]) -> None:
        lock = s.lock("job")
        assert lock.acquire()
        del lock
        gc.collect()
        assert in_thread(lambda: take(s, "job", 60)) is None

    def test_release_of_one_that_is_not_held(self, s: Store[Any]) -> None:
        lock = s.lock("job")
        with pytest.raises(StoreError, match="not held by this object"):
            lock.release()
        assert lock.acquire()
        lock.release()
        with pytest.raises(StoreError, match="not held by this object"):
            lock.release()

    def test_inside_a_transaction_only_an_attempt_is_made(self, s: Store[Any]) -> None:
        lock = s.lock("job")
        with s.transaction():
            with pytest.raises(StoreError, match="take the lock first"):
                lock.acquire()
            with pytest.raises(StoreError, match="take the lock first"):
                lock.acquire(timeout=5)
            assert lock.acquire(timeout=0) is True
        lock.release()

    @pytest.mark.parametrize(
        "options", [{"timeout": -2}, {"timeout": float("nan")}, {"blocking": False, "timeout": 5}]
    )
    def test_refuses_what_makes_no_sense(self, s: Store[Any], options: dict[str, Any]) -> None:
        with pytest.raises(ValueError):
            s.lock("job").acquire(**options)
        with pytest.raises(TypeError):
            s.lock("job").acquire(timeout="1")  # type: ignore[arg-type]

    def test_of_a_closed_store(self, s: Store[Any]) -> None:
        lock = s.lock("job")
        s.close()
        for timeout in (0, 5):
            with pytest.raises(StoreClosed):
                lock.acquire(timeout=timeout)

    def test_shows_its_state(self, s: Store[Any]) -> None:
        lock = s.lock("job")
        assert repr(lock) == "<Lock 'job'>"
        lock.acquire()
        assert repr(lock) == "<Lock 'job' held>"


@pytest.mark.slow
def test_lock_object_excludes_other_processes(place: str, start: Any) -> None:
    with Store[Any](place) as s:
        holder = start(HOLDER, place, "job")
        holder.hear()
        lock = s.lock("job")
        assert lock.acquire(timeout=0) is lock.acquire(timeout=0.05) is False
        holder.say()
        assert lock.acquire(timeout=30) is True


def test_lock_whose_file_is_removed_is_lost(path: Path) -> None:
    with Store[Any](path) as s:
        lock = s.lock("job")
        lock.acquire()
        [file] = Path(f"{path}-locks").iterdir()
        file.unlink()
        assert (lock.locked(), lock.lost) == (False, True)
        with pytest.raises(StoreError, match="was lost"):
            lock.release()
        assert (lock.locked(), lock.lost) == (False, False)
        take(s, "job")
