"""`AsyncStore` where the event loop itself waits for the server: calls of many tasks at the same time, no thread."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest
from onlooker import WAITING, Onlooker
from tasks import SECONDS, contextless, enter, run, turns

from store import Store
from store.aio import AsyncSessions, AsyncStore
from store.errors import LockTimeout, StoreClosed, StoreError

MANY = 20


def test_many_calls_wait_on_the_server_at_the_same_time(postgres_url: str, onlooker: Onlooker) -> None:
    async def main() -> None:
        before = threading.enumerate()
        async with AsyncStore[Any](f"{postgres_url}&pool_size={MANY + 1}") as s:
            await s.update({f"n{number}": number for number in range(MANY)})
            onlooker.lock()
            reading = [asyncio.create_task(s.get(f"n{number}")) for number in range(MANY)]
            ticks = await onlooker.until(MANY, WAITING)
            assert ticks > 0 and not any(task.done() for task in reading)
            assert threading.enumerate() == before
            onlooker.unlock()
            assert await asyncio.gather(*reading) == list(range(MANY))

    run(main)


def test_transaction_belongs_to_its_task_while_others_go_on(postgres_url: str) -> None:
    async def main() -> None:
        async with AsyncStore[Any](postgres_url) as s:
            await s.update(a=0, b=0)
            both = asyncio.Barrier(2)

            async def write(name: str) -> None:
                async with s.edit(name, []) as value:
                    value.append(name)
                    await both.wait()  # both are in their blocks
                    await s.set(f"by {name}", 1)

            await asyncio.gather(write("x"), write("y"))
            assert await s.as_dict() == {"a": 0, "b": 0, "x": ["x"], "by x": 1, "y": ["y"], "by y": 1}
            with pytest.raises(RuntimeError):
                async with s.transaction():
                    await s.set("a", 1)
                    assert await contextless(s.get("a")) == 0
                    assert await s.get("a") == 1
                    raise RuntimeError
            assert await s.get("a") == 0

    run(main)


def test_many_edits_of_one_record_are_each_a_step_of_their_own(postgres_url: str) -> None:
    async def main() -> None:
        async with AsyncSessions(f"{postgres_url}&pool_size=5", timeout=SECONDS) as sessions:
            ids = [await sessions.create({"seen": []}) for _ in range(2)]
            inside: set[str] = set()

            async def add(number: int) -> None:
                id = ids[number % 2]
                async with sessions.edit(id) as data:
                    assert id not in inside
                    inside.add(id)
                    await turns()  # others would like to come between
                    data["seen"].append(number)
                    inside.remove(id)

            await asyncio.gather(*map(add, range(30)))
            seen = [await sessions.load(id) for id in ids]
        assert [sorted(data["seen"]) for data in seen if data] == [list(range(0, 30, 2)), list(range(1, 30, 2))]

    run(main)


def test_no_free_connection_is_an_error_that_says_so(postgres_url: str) -> None:
    async def main() -> None:
        async with AsyncStore[Any](f"{postgres_url}&pool_size=2") as s:
            inside, release = asyncio.Barrier(3), asyncio.Event()

            async def hold(name: str) -> None:
                async with s.edit(name, {}):
                    await inside.wait()
                    await release.wait()

            holding = [asyncio.create_task(hold(name)) for name in "ab"]
            await inside.wait()
            s.opening.opened.opened.engine.handle.timeout = 0.01  # type: ignore[attr-defined]
            with pytest.raises(LockTimeout, match="pool_size"):
                await s.get("a")
            release.set()
            await asyncio.gather(*holding)
            assert await s.as_dict() == {"a": {}, "b": {}}

    run(main)


def test_waiting_for_a_namespace_lets_the_loop_go_on(postgres_url: str) -> None:
    async def main() -> None:
        async with AsyncStore[Any](postgres_url) as s, AsyncStore[Any](postgres_url) as other:
            async with other.edit("a", {}):
                waiting = contextless(enter(s.transaction()))  # tries, and pauses between two attempts
                await turns(1000)
                assert not waiting.done()
            await waiting

    run(main)


def test_closing_ends_every_session_and_task(postgres_url: str, onlooker: Onlooker) -> None:
    async def main() -> None:
        s = await AsyncStore[Any](postgres_url).open()
        await asyncio.gather(*(s.set(f"n{number}", number) for number in range(MANY)))
        assert onlooker.count("true") > 1
        onlooker.lock()
        last = asyncio.create_task(s.get("n0"))
        await onlooker.until(1, WAITING)
        closing, late = asyncio.create_task(s.close()), asyncio.create_task(s.get("n0"))
        await turns()
        assert not closing.done()  # a call has begun, and is waited for
        onlooker.unlock()
        assert await last == 0
        await closing
        with pytest.raises(StoreClosed):
            await late
        await onlooker.until(0, "true")
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main)


def test_close_that_waits_for_too_long_leaves_it_open(postgres_url: str) -> None:
    async def main() -> None:
        async with AsyncStore[Any](postgres_url) as s:
            inside, release = asyncio.Event(), asyncio.Event()

            async def hold() -> None:
                async with s.transaction():
                    inside.set()
                    await release.wait()
                    await s.set("a", 1)

            holding = asyncio.create_task(hold())
            await inside.wait()
            worker = s.opening.worker
            worker.timeout, before = 0.01, worker.timeout
            with pytest.raises(LockTimeout, match="another task"):
                await s.close()
            worker.timeout = before
            release.set()
            await holding
            assert await s.get("a") == 1

    run(main)


def test_one_loop_after_another_and_one_in_each_thread(postgres_url: str, onlooker: Onlooker) -> None:
    async def count() -> None:
        async with AsyncStore[Any](postgres_url, timeout=SECONDS) as s:
            for _ in range(5):
                await s.incr("n")

    run(count)
    run(count)
    threads = [threading.Thread(target=run, args=(count,)) for _ in range(3)]
    with Store[Any](postgres_url) as plain:  # of this thread, with connections that block it
        for thread in threads:
            thread.start()
        for _ in range(5):
            plain.incr("n")
        for thread in threads:
            thread.join(SECONDS)
        assert plain["n"] == 30
    run(lambda: onlooker.until(0, "true"))  # a session ends a moment after its connection


@pytest.mark.parametrize("ends", ["in its loop", "after its loop"])
def test_one_that_was_left_open_warns_and_ends_its_sessions(postgres_url: str, onlooker: Onlooker, ends: str) -> None:
    async def main() -> AsyncStore[Any] | None:
        s: AsyncStore[Any] | None = await AsyncStore[Any](postgres_url).open()
        assert s is not None
        await s.set("a", 1)
        if ends == "after its loop":
            return s
        with pytest.warns(ResourceWarning, match="was not closed"):
            del s
            gc.collect()
        await onlooker.until(0, "true")
        return None

    left = [run(main)]
    if left[0] is not None:
        with pytest.warns(ResourceWarning, match="was not closed"):
            left.clear()
            gc.collect()
        run(lambda: onlooker.until(0, "true"))
    with Store[Any](postgres_url) as plain:
        assert plain["a"] == 1


def test_sessions_that_the_server_ended_while_they_were_idle_are_replaced(postgres_url: str, onlooker: Onlooker) -> None:
    async def main() -> None:
        async with AsyncStore[Any](postgres_url) as s:
            await s.set("a", 1)
            onlooker.conn.execute(
                "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = '' AND "
                f"backend_type = 'client backend' AND pid NOT IN {onlooker.own}"
            )
            assert await s.get("a") == 1
            await s.set("a", 2)

    run(main)


def test_store_that_a_loop_opened_cannot_be_used_outside_of_its_tasks(postgres_url: str) -> None:
    async def main() -> None:
        async with AsyncStore[Any](postgres_url) as s:
            with pytest.raises(StoreError, match="await the methods of the AsyncStore"):
                s.opening.opened["a"]

    run(main)


def test_warning_points_at_the_line_that_awaits(postgres_url: str) -> None:
    """Two tasks at once: each has the line of its own."""

    async def main() -> None:
        with Store[Any](postgres_url, namespace="sessions", key="a key of others, long enough") as theirs:
            theirs["x"] = [1]
        with pytest.warns(UserWarning) as warned:
            async with AsyncSessions(postgres_url) as sessions:
                await asyncio.gather(*(sessions.opening.do(lambda s: s._records.read("x")) for _ in range(3)))
        assert {warning.filename for warning in warned} == {__file__} and len(warned) > 1

    run(main)
