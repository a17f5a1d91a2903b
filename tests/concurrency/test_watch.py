"""Watching across processes, forks, signals and event loops."""

from __future__ import annotations

import asyncio
import signal
import threading

import pytest

import store.watching.changes
from store import Store
from store.errors import StoreClosed
from store.watching.watch import Watch

TIMEOUT = 60.0  # seconds; nothing here takes more than a few

WATCHER = """
    import sys
    from store import Store
    with Store(sys.argv[1], mode="r") as s, s.watch(timeout=60) as changes:
        print("watching", flush=True)
        for change in changes:
            print(change.kind, change.name, flush=True)
            if change.name == "end":
                break
"""


@pytest.fixture
def shared(location):
    """The location of a store that other processes can open."""
    if location == ":memory:":
        pytest.skip("other processes do not see this one's memory")
    return location


def test_changes_of_another_process_are_seen(shared, program):
    with Store(shared) as s:
        s["old"] = 1
        watcher = program(WATCHER, shared)
        assert watcher.line() == "watching"
        s["a"] = 1
        assert watcher.line() == "set a"
        del s["old"]
        assert watcher.line() == "deleted old"
        s.put("short", 1, ttl=1000)
        assert watcher.line() == "set short"
        s.touch("short", 0.2)
        told = watcher.line()
        assert (watcher.line() if told == "set short" else told) == "expired short"  # else it looked after the end alone
        s["end"] = 1
        assert watcher.output() == "set end\n"


@pytest.mark.slow
def test_last_state_is_never_missed(shared, program):
    """Whatever it tells of a writer in full run, the last thing it tells of each name is how it ended."""
    writer = """
        import sys
        from store import Store
        with Store(sys.argv[1]) as s:
            for number in range(3000):
                name = f"n{number % 7}"
                if number % 5:
                    s[name] = number
                else:
                    s.pop(name, None)
            s["end"] = 1
    """
    last: dict[str, str] = {}
    with Store(shared) as s, s.watch(timeout=TIMEOUT, interval=0.001) as changes:
        running = program(writer, shared)
        for change in changes:
            last[change.name] = change.kind
            if change.name == "end":
                break
        assert running.output() == ""
        changes._timeout = 0.0
        last.update((change.name, change.kind) for change in changes)
        assert {name for name, kind in last.items() if kind == "set"} == set(s)


@pytest.mark.slow
def test_interrupt_works_at_once(shared, program):
    watcher = program(
        """
        import signal, sys
        from store import Store
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with Store(sys.argv[1]) as s:
            changes = s.watch(interval=3600)
            wait = changes._wake.wait
            told = []  # once: on a server it may be woken by somebody else's commit
            changes._wake.wait = lambda seconds: (told or told.append(print("waiting", flush=True)), wait(seconds))
            try:
                next(changes)
            except KeyboardInterrupt:
                s["a"] = 1
                print(next(changes).name)
        """,
        shared,
    )
    assert watcher.line() == "waiting"
    watcher.process.send_signal(signal.SIGINT)
    assert watcher.output() == "a\n"


def test_fork_ends_it_in_the_child_alone(place, forked):
    with Store(place) as s, s.watch(timeout=0) as changes:
        s["pending"] = 1
        s["told"] = 1
        assert next(changes).name == "pending"

        def work():
            told = []
            for look in (lambda: next(changes), lambda: list(changes)):
                try:
                    look()
                except Exception as exc:
                    told.append(f"{type(exc).__name__}: {exc}")
            changes.close()
            with s.watch(timeout=0) as mine:
                s["by the child"] = 1
                told.append([change.name for change in mine])
            s.close()
            return told

        first, second, mine = forked(work).result()
        assert first == second
        assert first.startswith("StoreError: this process was forked")
        assert mine == ["by the child"]
        assert [change.name for change in changes] == ["told", "by the child"]


@pytest.mark.slow
def test_fork_while_another_thread_waits(place, forked):
    with Store(place) as s:
        changes, found = s.watch(timeout=TIMEOUT, interval=0.001), []
        thread = threading.Thread(target=lambda: found.extend(change.name for change in changes))
        thread.start()
        for number in range(5):
            assert forked(lambda number=number: s.update({f"n{number}": 1}) or changes.close() or "done").result() == "done"
        while len(found) < 5:  # bounded by the watcher's own time limit
            assert thread.is_alive()
        changes.close()
        thread.join(TIMEOUT)
        assert sorted(found) == [f"n{number}" for number in range(5)]


# -- event loops


def test_async_for(place):
    async def watch(s):
        async with s.watch(timeout=TIMEOUT) as changes:
            s.update(a=1, b=1)
            told = []
            async for change in changes:
                told.append(change.name)
                if len(told) == 2:
                    s["c"] = 1
                if len(told) == 3:
                    break
            return told

    with Store(place) as s:
        assert asyncio.run(watch(s)) == ["a", "b", "c"]


def test_async_for_ends_after_the_timeout(place):
    async def watch(s):
        return [change.name async for change in s.watch(timeout=0)]

    with Store(place) as s:
        assert asyncio.run(watch(s)) == []


def test_other_tasks_run_while_it_compares(place, monkeypatch):
    monkeypatch.setattr(store.watching.changes, "PAGE_MARKS", 10)
    turns = []

    async def count():
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    async def watch(s):
        with s.watch(timeout=0) as changes:
            s.update({f"n{number:03}": 1 for number in range(300)})
            counting = asyncio.create_task(count())
            assert len([change async for change in changes]) == 300
            counting.cancel()

    with Store(place) as s:
        asyncio.run(watch(s))
    assert len(turns) >= 30  # one for each page


@pytest.mark.parametrize("where", ["waiting", "comparing"])
def test_cancelled_task_loses_no_change(place, monkeypatch, where):
    async def watch(s):
        with s.watch(interval=3600) as changes:
            at = asyncio.Event()
            s["a"] = 1
            if where == "waiting":
                assert (await anext(changes)).name == "a"
                wait = Watch._wait_in_loop

                async def wait_and_tell(self, seconds):
                    at.set()
                    await wait(self, seconds)

                monkeypatch.setattr(Watch, "_wait_in_loop", wait_and_tell)
            else:
                asyncio.get_running_loop().call_soon(at.set)
            task = asyncio.create_task(anext(changes))
            await at.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            if where == "waiting":
                s["a"] = 2
            return (await anext(changes)).name

    with Store(place) as s:
        assert asyncio.run(watch(s)) == "a"


@pytest.mark.parametrize("what", ["watcher", "store"])
def test_close_wakes_a_task_that_waits(place, monkeypatch, what):
    async def watch(s):
        changes, waiting = s.watch(interval=3600), asyncio.Event()
        wait = Watch._wait_in_loop

        async def wait_and_tell(self, seconds):
            waiting.set()
            await wait(self, seconds)

        monkeypatch.setattr(Watch, "_wait_in_loop", wait_and_tell)
        task = asyncio.create_task(changes.__anext__())
        await waiting.wait()
        thread = threading.Thread(target=(changes if what == "watcher" else s).close)
        thread.start()
        with pytest.raises(StopAsyncIteration if what == "watcher" else StoreClosed):
            async with asyncio.timeout(TIMEOUT):
                await task
        thread.join(TIMEOUT)

    with Store(place) as s:
        asyncio.run(watch(s))
