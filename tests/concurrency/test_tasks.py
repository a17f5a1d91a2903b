"""asyncio tasks of one thread: a block belongs to the task that began it, and another one is told so at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from store import Store
from store.errors import InUse
from store.sessions import Sessions


@pytest.fixture
def s(location: str) -> Iterator[Store[Any]]:
    with Store(location, timeout=30) as s:
        s.update(count={"n": 0}, plain=0)
        yield s


BLOCKS: dict[str, Callable[[Store[Any]], AbstractContextManager[Any]]] = {
    "transaction": lambda s: s.transaction(),
    "edit": lambda s: s.edit("count"),
}
USES: dict[str, Callable[[Store[Any]], object]] = {
    "transaction": lambda s: s.transaction().__enter__(),
    "edit": lambda s: s.edit("count").__enter__(),
    "set": lambda s: s.__setitem__("b", 1),
    "update": lambda s: s.update(b=1),
    "modify": lambda s: s.modify("count", lambda value: value),
    "delete": lambda s: s.__delitem__("count"),
    "compact": lambda s: s.compact(),
}


def suspended(s: Store[Any], block: str, meanwhile: Callable[[], object], *, fail: bool = False) -> None:
    """Two tasks: `meanwhile` is called in the second one, while the first is suspended in its block."""

    async def first(inside: asyncio.Event, done: asyncio.Event) -> None:
        with BLOCKS[block](s):
            s["a"] = 1
            inside.set()
            await done.wait()
            if fail:
                raise ZeroDivisionError

    async def second(inside: asyncio.Event, done: asyncio.Event) -> None:
        await inside.wait()
        try:
            meanwhile()
        finally:
            done.set()

    async def main() -> None:
        events = asyncio.Event(), asyncio.Event()
        tasks = [asyncio.create_task(first(*events), name="one"), asyncio.create_task(second(*events), name="two")]
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, BaseException) and not (fail and isinstance(outcome, ZeroDivisionError)):
                raise outcome

    asyncio.run(main())


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("fail", [False, True])
def test_second_task_is_refused_and_nothing_is_mixed(s, block, use, fail):
    def meanwhile() -> None:
        with pytest.raises(InUse, match=r"'one' \(.*first\).*'two' \(.*second\).*do not await.*AsyncStore"):
            USES[use](s)

    suspended(s, block, meanwhile, fail=fail)
    assert dict(s) == {"count": {"n": 0}, "plain": 0, **({} if fail else {"a": 1})}
    USES["set"](s)
    assert s["b"] == 1


@pytest.mark.parametrize("block", BLOCKS)
def test_second_task_reads_what_is_committed(s, block):
    def meanwhile() -> None:
        assert ("a" in s, s.get("a"), len(s), dict(s.items())) == (
            False, None, 2, {"count": {"n": 0}, "plain": 0},
        )  # fmt: skip
        assert s == {"count": {"n": 0}, "plain": 0}

    suspended(s, block, meanwhile)
    assert s["a"] == 1


@pytest.mark.parametrize("block", BLOCKS)
def test_second_task_makes_a_backup_of_what_is_committed(s, block, tmp_path):
    suspended(s, block, lambda: s.backup(tmp_path / "backup.db"))
    with Store(tmp_path / "backup.db") as copy:
        assert dict(copy) == {"count": {"n": 0}, "plain": 0}


def test_second_visitor_of_a_session_is_refused(s):
    with Sessions(s) as sessions:
        id = sessions.create({"n": 0})

        async def visit() -> None:
            with sessions.edit(id) as data:
                before = data["n"]
                await asyncio.sleep(0)
                data["n"] = before + 1

        async def main() -> list[Any]:
            return await asyncio.gather(visit(), visit(), return_exceptions=True)

        outcome = asyncio.run(main())
        assert outcome[0] is None
        assert isinstance(outcome[1], InUse)
        assert sessions.load(id) == {"n": 1}


def test_task_goes_on_in_its_own_block(s):
    async def main() -> None:
        with s.transaction():
            s["a"] = 1
            await asyncio.sleep(0)
            with s.transaction(), s.edit("count") as count:
                await asyncio.sleep(0)
                count["n"] = s["a"] + 1
            s.modify("plain", lambda n: n + 1)

    asyncio.run(main())
    assert dict(s) == {"count": {"n": 2}, "plain": 1, "a": 1}


def test_tasks_in_a_block_around_their_loop_join_it(s):
    async def add() -> None:
        await asyncio.sleep(0)
        s.modify("plain", lambda n: n + 1)

    async def main() -> None:
        await asyncio.gather(add(), add())

    with s.transaction():
        asyncio.run(main())
    assert s["plain"] == 2


def test_block_that_another_task_began_and_left_open(s):
    """As a fixture does: the task that began the block has ended, and others go on in it."""

    @contextmanager
    def block() -> Iterator[None]:
        with s.transaction():
            yield

    async def main() -> None:
        opened = block()

        async def begin() -> None:
            opened.__enter__()
            s["a"] = 1

        await asyncio.create_task(begin())
        s["b"] = s["a"] + 1
        opened.__exit__(None, None, None)

    asyncio.run(main())
    assert (s["a"], s["b"]) == (1, 2)


def test_callback_of_the_loop_is_in_no_task(s):
    async def first(done: asyncio.Event) -> None:
        with s.transaction():
            s["a"] = 1
            await done.wait()

    async def main() -> list[BaseException]:
        done = asyncio.Event()
        found: list[BaseException] = []

        def callback() -> None:
            try:
                s["b"] = 1
            except InUse as exc:
                found.append(exc)
            done.set()

        task = asyncio.create_task(first(done))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(callback)
        await task
        return found

    assert "outside of any task" in str(asyncio.run(main())[0])
    assert "b" not in s


def steps(coroutine: Coroutine[Any, Any, None]) -> Iterator[None]:
    """Drive a coroutine as other frameworks do, which have no tasks of asyncio's."""
    yield from coroutine.__await__()


class Pause:
    def __await__(self) -> Iterator[None]:
        yield


def test_coroutine_of_another_framework_that_is_suspended(s):
    async def first() -> None:
        with s.transaction():
            s["a"] = 1
            await Pause()
            s["c"] = 1

    async def second() -> None:
        s["b"] = 1

    one = steps(first())
    next(one)
    with pytest.raises(InUse, match="a coroutine that is suspended"):
        list(steps(second()))
    assert list(one) == []
    assert dict(s) == {"count": {"n": 0}, "plain": 0, "a": 1, "c": 1}
