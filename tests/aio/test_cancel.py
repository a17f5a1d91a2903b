"""`AsyncStore`: what a cancelled call, block or close has done, and what it leaves."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from tasks import SECONDS, Blocked, begun, contextless, enter, run, turns

from store import Store
from store.aio import AsyncStore
from store.errors import StoreClosed


def test_cancelled_while_it_waits_for_its_turn_does_nothing(path: Path) -> None:
    async def main() -> None:
        async with AsyncStore[Any](path) as s:
            async with s.transaction():
                outside = contextless(s.set("a", 1))
                await turns()
                outside.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await outside
            await turns()
            assert await s.as_dict() == {}

    run(main)


def test_cancelled_call_that_has_begun_is_done_first(path: Path) -> None:
    async def main() -> None:
        with Store[Any](path) as blocking:
            async with AsyncStore[Any](path) as s:
                with Blocked(blocking) as blocked:
                    writing = asyncio.create_task(s.set("a", 1))
                    await turns()
                    await begun(s)
                    for _ in range(3):
                        writing.cancel()
                        await turns()
                    assert not writing.done()
                    blocked.release()
                    with pytest.raises(asyncio.CancelledError):
                        await writing
                assert blocking["a"] == 1
                assert await s.getitem("a") == 1

    run(main)


def test_timeout_around_a_call_is_told_once_it_is_done(path: Path) -> None:
    async def main() -> None:
        with Store[Any](path) as blocking:
            async with AsyncStore[Any](path) as s:
                with Blocked(blocking) as blocked:
                    asyncio.get_running_loop().call_later(0.01, blocked.release)
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(0):
                            await s.set("a", 1)
                assert await s.getitem("a") == 1

    run(main)


def test_cancelled_body_of_a_transaction_is_rolled_back(location: str) -> None:
    async def main() -> None:
        async with AsyncStore[Any](location) as s:
            inside = asyncio.Event()

            async def write() -> None:
                async with s.transaction():
                    await s.set("a", 1)
                    inside.set()
                    await asyncio.sleep(SECONDS)

            writing = asyncio.create_task(write())
            await inside.wait()
            writing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await writing
            assert await s.as_dict() == {}
            async with s.transaction():
                await s.set("b", 1)

    run(main)


@pytest.mark.parametrize("begin", ["transaction", "edit"])
def test_cancelled_while_it_enters_leaves_again(path: Path, begin: str) -> None:
    async def main() -> None:
        with Store[Any](path) as blocking:
            async with AsyncStore[Any](path) as s:
                with Blocked(blocking) as blocked:
                    entering = asyncio.create_task(
                        enter(s.transaction() if begin == "transaction" else s.edit("e", []))
                    )
                    await turns()
                    await begun(s)
                    entering.cancel()
                    await turns()
                    blocked.release()
                    with pytest.raises(asyncio.CancelledError):
                        await entering
                await s.set("a", 1)
                assert blocking == {"a": 1}  # it was not in a transaction that was left open

    run(main)


def test_cancelled_while_it_commits_is_committed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with AsyncStore[Any](path) as s:
            at, go = threading.Event(), threading.Event()
            writer = s.opening.opened.opened.engine.handle.engine.writer  # type: ignore[attr-defined]
            commit = writer.committed

            def committed(connection: Any) -> None:
                at.set()
                assert go.wait(SECONDS)
                commit(connection)

            async def write() -> None:
                async with s.transaction():
                    await s.set("a", 1)
                    monkeypatch.setattr(writer, "committed", committed)

            writing = asyncio.create_task(write())
            while not at.is_set():
                await asyncio.sleep(0)
            writing.cancel()
            await turns()
            go.set()
            with pytest.raises(asyncio.CancelledError):
                await writing
            monkeypatch.undo()
            assert await s.as_dict() == {"a": 1}

    run(main)


def test_error_of_a_call_that_was_cancelled_is_its_cause(path: Path) -> None:
    async def main() -> None:
        async with AsyncStore[Any](path) as s:
            at, go = threading.Event(), threading.Event()

            def fail(_: Any) -> None:
                at.set()
                assert go.wait(SECONDS)
                raise ValueError("of the call")

            calling = asyncio.create_task(s.modify("a", fail, None))
            while not at.is_set():
                await asyncio.sleep(0)
            calling.cancel()
            await turns()
            go.set()
            with pytest.raises(asyncio.CancelledError) as caught:
                await calling
            assert str(caught.value.__cause__) == "of the call"

    run(main)


def test_cancelled_close_closes(location: str) -> None:
    async def main() -> None:
        s = await AsyncStore[Any](location).open()
        closing = asyncio.create_task(s.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        with pytest.raises(StoreClosed):
            await s.get("a")

    run(main)  # and `nothing_leaks` finds no thread


def test_cancelled_open_leaves_nothing(location: str) -> None:
    async def main() -> None:
        opening = asyncio.create_task(AsyncStore[Any](location).open())
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening

    run(main)
