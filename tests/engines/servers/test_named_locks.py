"""Named locks on a server: leases by its clock, fences, and how one is lost."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from children import Start
from server_locks import HOLDER, ServerLocks, fence_of, held, leases, nothing_renewed, server_locks, thread_renewed
from threads import in_thread

from store import Store
from store.errors import LockTimeout, StorageError, StoreError

SECONDS = 60


@pytest.fixture
def there(s: Store[Any], url: str) -> Iterator[ServerLocks]:
    """The lock `job` on the server."""
    with server_locks(s, url) as found:
        yield found


class TestFence:
    def test_grows_with_each_holder(self, s: Store[Any], url: str, start: Start) -> None:
        fences = []
        for _ in range(3):
            with s.lock("job") as lock:
                fences.append(fence_of(lock))
        holder = start(HOLDER, url)
        fences.append(int(holder.hear()))
        holder.say()
        assert holder.result() == 1
        assert fences == sorted(set(fences)) and fences[0] > 0

    def test_grows_after_the_server_has_forgotten_the_lock(
        self, s: Store[Any], url: str, start: Start, there: ServerLocks
    ) -> None:
        first = held(s)
        fence = fence_of(first)
        first.release()
        there.forget()
        holder = start(HOLDER, url)
        assert int(holder.hear()) > fence
        holder.say()
        assert holder.result() == 1
        assert fence_of(held(s)) > fence + 1


class TestLease:
    def test_of_a_killed_process_ends_by_the_clock_of_the_server(
        self, s: Store[Any], url: str, start: Start, there: ServerLocks
    ) -> None:
        holder = start(HOLDER, url)
        fence = int(holder.hear())
        holder.kill()
        assert not s.lock("job").acquire(timeout=0), "its lease lasts"
        assert 0 < there.seconds_left() <= 30
        there.end_lease()
        assert fence_of(held(s)) > fence

    def test_that_lapsed_is_lost_here_even_if_nobody_took_it(self, s: Store[Any], there: ServerLocks) -> None:
        lock = held(s)
        (lease,) = leases(s)._held.values()
        lease.ends = 0.0  # the server was away for too long
        assert (lock.locked(), lock.lost) == (False, True)
        assert there.renew()
        assert (lock.locked(), lock.lost) == (False, True), "what was lost once stays lost"
        with pytest.raises(StoreError, match="was lost"):
            lock.release()

    @pytest.mark.parametrize("when", ["renewal", "release"])
    def test_that_another_one_took_is_lost(
        self, s: Store[Any], url: str, start: Start, there: ServerLocks, when: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nothing_renewed(monkeypatch)
        lock = held(s)
        there.end_lease()
        holder = start(HOLDER, url)
        assert int(holder.hear()) > fence_of(lock)
        if when == "renewal":
            assert there.renew()
            assert (lock.locked(), lock.lost, repr(lock)) == (False, True, "<Lock 'job' lost>")
        with pytest.raises(StoreError, match="was lost"):
            lock.release()
        assert not s.lock("job").acquire(timeout=0), "the other one holds it still"
        holder.say()
        assert holder.result() == 1

    def test_is_renewed_by_a_thread(self, s: Store[Any], there: ServerLocks, monkeypatch: pytest.MonkeyPatch) -> None:
        done = thread_renewed(monkeypatch)
        lock = held(s)
        done.clear()
        there.end_lease()
        assert done.wait(SECONDS)
        done.clear()
        assert done.wait(SECONDS), "and again"
        assert there.seconds_left() > 0 and lock.locked()
        lock.release()

    def test_outlives_a_failed_renewal(
        self, s: Store[Any], there: ServerLocks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lock = held(s)
        there.fail_renewals(monkeypatch)
        assert not there.renew()
        monkeypatch.undo()
        assert lock.locked() and there.renew()
        lock.release()


class TestHolding:
    def test_attempt_at_a_held_lock_writes_nothing(self, s: Store[Any], there: ServerLocks) -> None:
        lock = held(s)
        before = there.content()
        assert not s.lock("job").acquire(timeout=0.01)
        assert there.content() == before
        lock.release()

    def test_inside_a_transaction_it_is_no_part_of_it(self, s: Store[Any], there: ServerLocks) -> None:
        with pytest.raises(ZeroDivisionError), s.transaction():
            lock = held(s)
            assert there.has_owner()
            1 / 0
        assert lock.locked()
        lock.release()

    def test_waiting_ends_with_a_release_in_this_process(
        self, s: Store[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from store.engines import polling as module

        monkeypatch.setattr(module, "FIRST_PAUSE", 3600.0)
        monkeypatch.setattr(module, "LAST_PAUSE", 3600.0)
        lock, waits = held(s), threading.Event()
        wait = leases(s).wait
        monkeypatch.setattr(leases(s), "wait", lambda seconds: (waits.set(), wait(seconds)))
        got: list[Any] = []
        thread = threading.Thread(target=lambda: got.append(s.lock("job").acquire(timeout=SECONDS)))
        thread.start()
        assert waits.wait(SECONDS)
        lock.release()
        thread.join(SECONDS)
        assert got == [True]

    def test_thread_that_cannot_be_started_leaves_the_lock_free(
        self, s: Store[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refused)
            for take in (s.lock("job").acquire, s.lock("job").__enter__):
                with pytest.raises(StorageError, match=r"named locks on .*no thread could be started"):
                    take()
        held(s).release()

    def test_last_close_releases_all(self, s: Store[Any], there: ServerLocks) -> None:
        lock = held(s)
        assert there.has_owner()
        s.close()
        assert not there.has_owner()
        assert lock.lost

    def test_any_text_is_a_name(self, s: Store[Any]) -> None:
        for name in ["", "a/b", "é", "}", "{}", "{@a}:lock", " \n", "x" * 65536]:
            with s.lock(name):
                assert isinstance(in_thread(lambda name=name: s.lock(name, 0).__enter__()), LockTimeout)

    def test_program_that_ends_without_closing_leaves_no_lease(self, s: Store[Any], url: str, start: Start) -> None:
        program = start(
            """
            import sys
            from store import Store
            s = Store(sys.argv[1])
            lock = s.lock("job")
            print(int(lock.acquire()))
            """,
            url,
        )
        assert program.result() == 1
        assert s.lock("job").acquire(timeout=0)

    def test_collected_object_is_released_by_the_thread(self, s: Store[Any]) -> None:
        lock = held(s)
        del lock
        gc.collect()
        assert s.lock("job").acquire(timeout=SECONDS)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    def test_forked_child_does_not_hold_it(self, s: Store[Any]) -> None:
        lock = held(s)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                is_lost = (lock.locked(), lock.lost) == (False, True)
                try:
                    lock.release()
                except StoreError:
                    is_taken = not s.lock("job").acquire(timeout=0)
                    code = 7 if is_lost and is_taken else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert lock.locked()
        lock.release()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    def test_forked_child_does_not_release_it(self, s: Store[Any]) -> None:
        lock = held(s)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with pytest.raises(StoreError):
                    lock.release()
                assert s.lock("of the child").acquire(timeout=SECONDS)  # begins a thread that carries out orders
                s.close()  # once that thread has ended
                code = 7
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert not s.lock("job").acquire(timeout=0)
        lock.release()
