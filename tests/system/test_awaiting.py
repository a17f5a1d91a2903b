"""Synchronous functions whose waits an event loop does: results, errors, cancelling, and what each task sees."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import time
import weakref
from contextvars import ContextVar
from typing import Any

import pytest

pytest.importorskip("greenlet", reason="greenlet is not installed")

from store.errors import StoreError
from store.system import awaiting, running


async def echo(value: Any, turns: int = 3) -> Any:
    for _ in range(turns):
        await asyncio.sleep(0)
    return value


def add(a: int, b: int) -> int:
    """An ordinary function that waits, deep in the stack of its caller."""
    return awaiting.wait(echo(a)) + awaiting.wait(echo(b))  # type: ignore[no-any-return]


def test_function_waits_while_the_loop_goes_on_in_its_thread() -> None:
    async def main() -> None:
        before, ticks = threading.enumerate(), 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0)
                ticks += 1

        ticking = asyncio.create_task(tick())
        results = await asyncio.gather(*(awaiting.call(lambda n=n: [add(n, k) for k in range(5)]) for n in range(5)))
        assert results == [[n + k for k in range(5)] for n in range(5)]
        assert ticks > 5 and threading.enumerate() == before
        ticking.cancel()

    asyncio.run(main())


def test_errors_pass_in_both_directions() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise KeyError("of the coroutine")

    def catch() -> str:
        try:
            awaiting.wait(fail())
        except KeyError as exc:
            raise ValueError("of the function") from exc
        return "never"

    async def main() -> None:
        with pytest.raises(ValueError, match="of the function") as caught:
            await awaiting.call(catch)
        assert isinstance(caught.value.__cause__, KeyError)

    asyncio.run(main())


def test_cancelling_is_raised_where_the_function_waits() -> None:
    seen: list[str] = []

    def work() -> None:
        try:
            awaiting.wait(asyncio.Event().wait())
        except asyncio.CancelledError:
            seen.append(awaiting.wait(echo("cleaned up")))  # it may still wait
            raise

    async def main() -> None:
        task = asyncio.create_task(awaiting.call(work))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == ["cleaned up"]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await awaiting.call(lambda: awaiting.wait(asyncio.Event().wait()))

    asyncio.run(main())


@pytest.mark.parametrize("fails", [False, True])
def test_cancelling_is_kept_until_what_must_finish_has_finished(fails: bool) -> None:
    seen: list[str] = []

    def work() -> None:
        with awaiting.finishing():
            awaiting.wait(event.wait())
            awaiting.wait(echo(None))
            seen.append("finished")
        if fails:
            raise ValueError("of the function")

    async def main() -> None:
        global event
        event = asyncio.Event()
        task = asyncio.create_task(awaiting.call(work))
        for _ in range(3):
            await asyncio.sleep(0)
            task.cancel()
        await echo(None, 10)
        assert not task.done()
        event.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()  # while it waits for one turn of the loop
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert seen == ["finished"]
        assert isinstance(caught.value.__cause__, ValueError) is fails

    asyncio.run(main())


def test_function_has_the_context_variables_of_its_task() -> None:
    who: ContextVar[str] = ContextVar("who")

    def work() -> list[str]:
        seen = [who.get()]
        awaiting.wait(echo(None))
        seen.append(who.get())
        who.set(f"{seen[0]} again")
        return seen

    async def one(name: str) -> None:
        who.set(name)
        assert await awaiting.call(work) == [name, name]
        assert who.get() == f"{name} again"

    async def main() -> None:
        await asyncio.gather(*map(one, "abc"))

    asyncio.run(main())


def test_runner_is_a_place_of_its_own_for_all_calls_until_it_ends() -> None:
    async def main() -> None:
        runner = awaiting.Runner()
        first, second = await runner.call(running.ident), await runner.call(running.ident)
        other = await awaiting.call(running.ident)
        assert first == second != threading.get_ident() and other != threading.get_ident()
        assert await runner.call(running.event_loop) is asyncio.get_running_loop() and running.event_loop() is None
        assert await runner.call(running.task) is asyncio.current_task()
        runner.end()
        assert runner.dead

    asyncio.run(main())


def test_runner_that_waits_for_the_next_call_refers_to_nothing_of_the_last() -> None:
    class Owned:
        pass

    async def main() -> None:
        runner, owned = awaiting.Runner(), Owned()
        gone = weakref.ref(owned)
        await runner.call(lambda owned=owned: None)  # type: ignore[misc]
        del owned
        gc.collect()
        assert gone() is None
        runner.end()

    asyncio.run(main())


def test_calls_nest() -> None:
    """A coroutine that a function waits for may call a function that waits."""

    async def inner() -> int:
        return await awaiting.call(lambda: add(1, 2))

    async def main() -> None:
        assert await awaiting.call(lambda: awaiting.wait(inner()) + add(3, 4)) == 10

    asyncio.run(main())


def test_sleep_lets_the_loop_go_on_only_where_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)

    async def main() -> None:
        task = asyncio.create_task(awaiting.call(lambda: running.sleep(0.001)))
        await asyncio.sleep(0)
        assert not task.done()
        await task

    asyncio.run(main())
    assert slept == []
    running.sleep(5)
    assert slept == [5]


def test_waiting_where_no_task_waits_is_refused() -> None:
    with pytest.raises(StoreError, match="await the methods of the AsyncStore"):
        add(1, 2)

    async def main() -> None:
        with pytest.raises(StoreError, match="await the methods of the AsyncStore"):
            add(1, 2)

    asyncio.run(main())


def test_function_whose_coroutine_is_closed_ends_without_waiting() -> None:
    seen: list[Any] = []

    def work() -> None:
        try:
            awaiting.wait(echo(None))
        finally:
            try:
                awaiting.wait(echo(None))
            except StoreError:
                seen.append("refused")

    async def main() -> None:
        call = awaiting.call(work)
        call.send(None)
        call.close()
        assert seen == ["refused"]
        abandoned = awaiting.call(work)
        abandoned.send(None)
        del abandoned
        gc.collect()
        assert seen == ["refused", "refused"]

    asyncio.run(main())


MISSING = """
import asyncio, sys
sys.modules["greenlet"] = None
from store.aio import AsyncStore
from store.errors import CodecUnavailable
async def main():
    try:
        await AsyncStore("postgresql://nobody@127.0.0.1:1/none").open()
    except CodecUnavailable as exc:
        print(exc)
asyncio.run(main())
"""


def test_missing_greenlet_says_what_to_install() -> None:
    done = subprocess.run([sys.executable, "-c", MISSING], capture_output=True, text=True, timeout=60, check=True)
    assert "pip install greenlet" in done.stdout, done


event: asyncio.Event
