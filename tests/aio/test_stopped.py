"""A task that is cancelled while the event loop waits for the server: nothing is half done, and nothing is done later."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest
from onlooker import WAITING, Onlooker
from tasks import run, turns

from store.aio import AsyncStore
from store.system import awaiting


def one_connection(url: str) -> str:
    """So that one that is lost would be missed."""
    return f"{url}&pool_size=1"


def test_cancelled_write_is_cancelled_on_the_server(postgres_url: str, onlooker: Onlooker) -> None:
    async def main() -> None:
        async with AsyncStore[Any](one_connection(postgres_url)) as s:
            await s.set("a", 1)
            onlooker.lock()
            writing = asyncio.create_task(s.set("a", 2))
            await onlooker.until(1, WAITING)
            writing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await writing
            assert onlooker.count("state <> 'idle'") == 0  # it has ended there too, before the lock was free
            onlooker.unlock()
            assert await s.get("a") == 1
            await s.set("a", 3)
            assert await s.get("a") == 3

    run(main)


def test_timeout_around_a_call_ends_it_on_the_server(postgres_url: str, onlooker: Onlooker) -> None:
    async def main() -> None:
        async with AsyncStore[Any](one_connection(postgres_url)) as s:
            await s.set("a", 1)
            onlooker.lock()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await s.get("a")
            assert onlooker.count("state <> 'idle'") == 0
            onlooker.unlock()
            assert await s.get("a") == 1

    run(main)


def test_cancelled_statement_of_a_transaction_rolls_it_back(postgres_url: str, onlooker: Onlooker) -> None:
    async def main() -> None:
        async with AsyncStore[Any](one_connection(postgres_url)) as s:
            await s.set("b", 1)

            async def write() -> None:
                async with s.transaction():
                    await s.set("a", 1)
                    await s.set("wait", 1)

            onlooker.hold_up("wait")
            onlooker.conn.execute("SELECT pg_advisory_lock(42)")
            writing = asyncio.create_task(write())
            await onlooker.until(1, WAITING)
            writing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await writing
            assert onlooker.count("state <> 'idle'") == 0
            assert await s.as_dict() == {"b": 1}

    run(main)


def test_commit_that_has_begun_is_waited_for(postgres_url: str, onlooker: Onlooker) -> None:
    async def main() -> None:
        async with AsyncStore[Any](one_connection(postgres_url)) as s:
            await s.set("b", 1)
            onlooker.hold_up("wait", deferred=True)
            onlooker.conn.execute("SELECT pg_advisory_lock(42)")

            async def write() -> None:
                async with s.transaction():
                    await s.set("wait", 1)

            writing = asyncio.create_task(write())
            await onlooker.until(1, WAITING)
            for _ in range(3):
                writing.cancel()
                await turns()
            assert not writing.done()
            onlooker.conn.execute("SELECT pg_advisory_unlock(42)")
            with pytest.raises(asyncio.CancelledError):
                await writing
            assert await s.get("wait") == 1

    run(main)


def test_cancelled_while_it_waits_for_a_connection_does_nothing(postgres_url: str) -> None:
    async def main() -> None:
        async with AsyncStore[Any](one_connection(postgres_url)) as s:
            await s.set("a", 1)
            inside, leave = asyncio.Event(), asyncio.Event()

            async def hold() -> None:
                async with s.edit("b", {}):
                    inside.set()
                    await leave.wait()

            holding = asyncio.create_task(hold())
            await inside.wait()
            waiting = [asyncio.create_task(s.set("a", number)) for number in range(5)]
            await turns()
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)
            leave.set()
            await holding
            assert await s.get("a") == 1

    run(main)


async def put(s: AsyncStore[Any]) -> None:
    await s.set("a", ["new"])


async def edit(s: AsyncStore[Any]) -> None:
    async with s.edit("a") as value:
        value[0] = "new"


async def modify(s: AsyncStore[Any]) -> None:
    await s.modify("a", lambda value: ["new"])


async def transaction(s: AsyncStore[Any]) -> None:
    async with s.transaction():
        await s.set("a", ["half"])
        async with s.transaction():
            await s.set("a", ["new"])


async def update(s: AsyncStore[Any]) -> None:
    await s.update({"a": ["new"], "b": ["new"]})


async def pop(s: AsyncStore[Any]) -> None:
    await s.pop("a")


@pytest.mark.parametrize("times", [1, 1000])
@pytest.mark.parametrize("work", [put, edit, modify, transaction, update, pop])
def test_cancelled_at_each_place_where_it_waits(
    postgres_url: str,
    onlooker: Onlooker,
    monkeypatch: pytest.MonkeyPatch,
    work: Callable[[AsyncStore[Any]], Awaitable[None]],
    times: int,
) -> None:
    """Old or new, never between; and the only connection of the pool, or another one, is there for the next call.

    Cancelled again wherever it waits after that, it may be the session that has to end.
    """

    async def main() -> None:
        place, found = 0, []
        async with AsyncStore[Any](one_connection(postgres_url)) as s:
            while True:
                await s.clear()
                await s.set("a", ["old"])
                place += 1
                if not await cancelled_at(place, lambda: work(s), monkeypatch, times):
                    break
                await onlooker.until(0, "state <> 'idle'")
                state = await s.as_dict()
                assert state in ({"a": ["old"]}, after), place
                found += [state]
        assert place > 1 and found

    after = {update: {"a": ["new"], "b": ["new"]}, pop: {}}.get(work, {"a": ["new"]})  # type: ignore[call-overload]
    run(main)


def test_opening_and_closing_that_are_cancelled_leave_no_session(
    postgres_url: str, onlooker: Onlooker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        place = 0
        going = True
        while going:  # the first one makes the tables
            place += 1
            s = AsyncStore[Any](postgres_url)
            going = await cancelled_at(place, s.open, monkeypatch)
            await s.close()
            await onlooker.until(0, "true")
        assert place > 5
        place, going = 0, True
        while going:
            place += 1
            s = await AsyncStore[Any](postgres_url).open()
            await s.set("a", place)
            going = await cancelled_at(place, s.close, monkeypatch)
            await onlooker.until(0, "true")
        assert place > 1

    run(main)


def test_counts_are_exact_while_tasks_are_cancelled_at_random(postgres_url: str, onlooker: Onlooker) -> None:
    random = Random(17)

    async def main() -> None:
        async with AsyncStore[Any](f"{postgres_url}&pool_size=4") as s:
            await s.update({f"n{number}": [0] for number in range(3)})

            async def count(number: int) -> None:
                async with s.edit(f"n{number % 3}") as value:
                    value[0] += 1
                    await s.incr("all")

            tasks = [asyncio.create_task(count(number)) for number in range(60)]
            while not all(task.done() for task in tasks):
                await turns(random.randrange(200))
                random.choice(tasks[::2]).cancel()
            ended = [task for task in tasks if not task.cancelled()]
            assert [task.exception() for task in ended if task.exception()] == []
            counts = await s.get_many(["n0", "n1", "n2"])
            total = await s.get("all", 0)
            assert sum(value[0] for value in counts.values()) == total, "one half of a transaction"
            assert len(tasks) / 2 <= len(ended) <= total <= len(tasks)
            await onlooker.until(0, "state <> 'idle'")

    run(main)


async def cancelled_at(
    place: int, work: Callable[[], Awaitable[Any]], monkeypatch: pytest.MonkeyPatch, times: int = 1
) -> bool:
    """Cancel a task where it waits for the n-th time, and so often from there on; whether it waited so often."""
    steps, waits = awaiting.Runner.steps, 0
    reached = False

    async def begin() -> None:
        await work()

    def counted(runner: awaiting.Runner, function: Callable[[], Any]) -> Any:
        nonlocal waits, reached
        going = steps(runner, function)
        try:
            found = next(going)
            while True:
                if asyncio.current_task() is task:
                    waits += 1
                    if place <= waits < place + times:
                        reached = True
                        asyncio.get_running_loop().call_soon(task.cancel)
                try:
                    value = yield found
                except BaseException as exc:
                    found = going.throw(exc)
                else:
                    found = going.send(value)
        except StopIteration as end:
            return end.value

    with monkeypatch.context() as patched:
        patched.setattr(awaiting.Runner, "steps", counted)
        task = asyncio.create_task(begin())
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    return reached


def test_connection_that_cannot_be_cancelled_is_closed(
    postgres_url: str, onlooker: Onlooker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled again while the server is asked to cancel: the session is of no use, and another one takes its place."""
    import psycopg

    async def main() -> None:
        async with AsyncStore[Any](one_connection(postgres_url)) as s:
            await s.set("a", 1)

            async def never(self: Any, *, timeout: float = 0.0) -> None:
                asking.set()
                await asyncio.Event().wait()

            asking = asyncio.Event()
            onlooker.lock()
            with monkeypatch.context() as patched:
                patched.setattr(psycopg.AsyncConnection, "cancel_safe", never)
                waiting = asyncio.create_task(s.get("a"))
                await onlooker.until(1, WAITING)
                waiting.cancel()
                await asking.wait()
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
            onlooker.unlock()
            assert await s.get("a") == 1
            await s.set("a", 2)
            assert await s.get("a") == 2

    run(main)
