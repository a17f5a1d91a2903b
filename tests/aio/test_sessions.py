"""`AsyncSessions`: every method of `Sessions`, and what its blocks do among tasks."""

from __future__ import annotations

import asyncio
import inspect
import pickle
from pathlib import Path
from typing import Any

import pytest
from tasks import contextless, run, turns

from store import Store
from store.aio import AsyncSessions, AsyncStore, AsyncUserSessions
from store.errors import NotSerializable, StoreClosed, StoreError
from store.sessions import NoSuchSession, Sessions, UserSessions


def test_every_method_of_sessions_is_there_by_its_name() -> None:
    public = {name for name, _ in inspect.getmembers(Sessions) if not name.startswith("_")}
    # A transaction of several steps is that of the `AsyncStore` on which the program opens them.
    assert public - {name for name, _ in inspect.getmembers(AsyncSessions)} == {"store"}
    for name in public - {"store", "location", "namespace", "ttl", "rejected", "close"}:
        ours, theirs = getattr(AsyncSessions, name), getattr(Sessions, name)
        assert inspect.signature(ours).parameters == inspect.signature(theirs).parameters, name


def test_methods_do_what_those_of_sessions_do(location: str, clock: Any) -> None:
    async def main() -> None:
        async with AsyncSessions(location, ttl=100, clock=clock) as sessions:
            id = await sessions.create({"cart": [1]})
            assert (await sessions.load(id), await sessions.load("no such id")) == ({"cart": [1]}, None)
            assert await sessions.save(id, {"cart": [2]}) and not await sessions.save(None, {})
            async with sessions.edit(id) as data:
                data["cart"].append(3)
            old, id = id, await sessions.rotate(id) or ""
            assert (await sessions.load(old), await sessions.load(id)) == (None, {"cart": [2, 3]})
            record = await sessions.record(id)
            assert record is not None and [r async for r in sessions.records()] == [record]
            assert (sessions.location, sessions.namespace, sessions.ttl) == (location, "sessions", 100)
            assert (await sessions.length(), sessions.rejected, bool(sessions)) == (1, 0, True)
            clock.advance(60)
            assert await sessions.touch(id, ttl=100) and not await sessions.touch(old)
            clock.advance(60)
            assert await sessions.load(id) == {"cart": [2, 3]}
            assert await sessions.delete(id) and not await sessions.delete(id)
            await sessions.create({}, ttl=1)
            clock.advance(2)
            assert await sessions.clear_expired() == 1
            with pytest.raises(NotSerializable):
                await sessions.create({"set": {1}})
            with pytest.raises(NoSuchSession):
                async with sessions.edit(id):
                    raise AssertionError("there is no session to edit")
        with pytest.raises(StoreClosed, match="open it again"):
            await sessions.load(id)

    run(main)


def test_every_method_of_a_users_sessions_is_there_by_its_name() -> None:
    public = {name for name, _ in inspect.getmembers(UserSessions) if not name.startswith("_")}
    assert public - {name for name, _ in inspect.getmembers(AsyncUserSessions)} == set()
    for name in public:
        ours, theirs = getattr(AsyncUserSessions, name), getattr(UserSessions, name)
        assert inspect.signature(ours).parameters == inspect.signature(theirs).parameters, name


def test_sessions_of_a_user_are_listed_and_ended(location: str) -> None:
    async def main() -> None:
        async with AsyncSessions(location) as sessions:
            ids = [await sessions.create({"n": n}, user="ann") for n in range(3)]
            ids.append(await sessions.rotate(await sessions.create({"n": 3}), user="bob") or "")
            given = await sessions.create({"n": 4}, id="a3-x_9Tz" * 4)
            ann, bob = sessions.by("ann"), sessions.by("bob")
            assert (await ann.length(), len(await bob.records())) == (3, 1)
            first = (await ann.records())[0]
            assert (await bob.load(first), await bob.delete(first)) == (None, False)
            assert await ann.load(first) in [{"n": 0}, {"n": 1}, {"n": 2}]
            assert await sessions.by("ann").end(but=ids[1]) == 2
            assert [await sessions.load(id) for id in [*ids, given]] == [None, {"n": 1}, None, {"n": 3}, {"n": 4}]
            assert await ann.delete((await ann.records())[0]) and await ann.end() == 0
            with pytest.raises(TypeError, match="user is text"):
                sessions.by(7)  # type: ignore[arg-type]
            for wrong in (lambda: len(ann), lambda: list(ann), lambda: bool(ann)):
                with pytest.raises(TypeError, match="await"):
                    wrong()

    run(main)


def test_users_sessions_that_tasks_rotate_meanwhile_are_all_ended(location: str) -> None:
    async def main() -> None:
        async with AsyncSessions(location) as sessions:
            used = [await sessions.create({}, user="ann") for _ in range(4)]

            async def rotate(id: str | None) -> None:
                while (id := await sessions.rotate(id)) is not None:
                    used.append(id)

            tasks = [asyncio.ensure_future(rotate(id)) for id in list(used)]
            await turns()
            assert await sessions.by("ann").end() == 4
            await asyncio.gather(*tasks)
            assert {await sessions.load(id) for id in used} == {None}
            assert await sessions.length() == 0

    run(main)


def test_edits_of_many_tasks_are_each_a_step_of_their_own(path: Path) -> None:
    async def main() -> None:
        async with AsyncSessions(path) as sessions:
            ids = [await sessions.create({"seen": []}) for _ in range(2)]
            inside: set[str] = set()

            async def add(number: int) -> None:
                id = ids[number % 2]
                async with sessions.edit(id) as data:
                    assert not inside
                    inside.add(id)
                    await turns()  # others would like to come between
                    data["seen"].append(number)
                    inside.remove(id)

            await asyncio.gather(*map(add, range(30)))
            seen = [await sessions.load(id) for id in ids]
        assert [sorted(data["seen"]) for data in seen if data] == [list(range(0, 30, 2)), list(range(1, 30, 2))]

    run(main)


def test_other_task_never_sees_nor_joins_an_edit_that_is_suspended(path: Path) -> None:
    async def main() -> None:
        async with AsyncSessions(path) as sessions:
            id = await sessions.create({"a": 1})
            with pytest.raises(ZeroDivisionError):
                async with sessions.edit(id) as data:
                    data["a"] = 2
                    other = contextless(sessions.create({"other": 1}))
                    await turns()
                    assert not other.done()
                    1 / 0
            made = await other
            assert (await sessions.load(id), await sessions.load(made)) == ({"a": 1}, {"other": 1})

    run(main)


def test_task_started_inside_an_edit_is_told_that_it_would_wait_for_ever(location: str) -> None:
    async def main() -> None:
        async with AsyncSessions(location) as sessions:
            id = await sessions.create({"a": 1})
            async with sessions.edit(id) as data:
                with pytest.raises(StoreError, match="started inside"):
                    await asyncio.create_task(sessions.load(id))
                data["a"] = 2
            assert await sessions.load(id) == {"a": 2}

    run(main)


def test_cancelled_edit_writes_nothing_and_lets_others_go_on(location: str) -> None:
    async def main() -> None:
        async with AsyncSessions(location) as sessions:
            id = await sessions.create({"a": 1})
            began = asyncio.Event()

            async def edit() -> None:
                async with sessions.edit(id) as data:
                    data["a"] = 2
                    began.set()
                    await asyncio.Event().wait()

            editing = asyncio.create_task(edit())
            await began.wait()
            editing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await editing
            assert await sessions.load(id) == {"a": 1}
            assert await sessions.save(id, {"a": 3})

    run(main)


def test_on_an_open_async_store_in_its_transactions(location: str) -> None:
    async def main() -> None:
        async with AsyncStore[Any](location, trust="own") as s:
            async with AsyncSessions(s, ttl=50) as sessions:
                with pytest.raises(ZeroDivisionError):
                    async with s.transaction():
                        await s.set("visits", 1)
                        id = await sessions.create({"a": 1})
                        assert await sessions.load(id) == {"a": 1}
                        1 / 0
                assert (await s.get("visits"), await sessions.load(id), sessions.ttl) == (None, None, 50)
                await sessions.create({})
            await s.set("open", True)
            assert await s.namespaces() == ["", "sessions"]

    run(main)


def test_on_an_open_store_which_stays_open(shared: str) -> None:
    async def main(s: Store[Any]) -> str:
        async with AsyncSessions(s) as sessions:
            return await sessions.create({"a": 1})

    with Store[Any](shared, trust="own") as s:
        id = run(lambda: main(s))
        assert Sessions(s).load(id) == {"a": 1}


def test_opened_again_after_pickling(shared: str) -> None:
    async def main() -> None:
        async with AsyncSessions(shared, ttl=7) as sessions:
            id = await sessions.create({"a": 1})
            async with pickle.loads(pickle.dumps(sessions)) as again:
                assert (await again.load(id), again.ttl) == ({"a": 1}, 7)

    run(main)


def test_misuse_says_what_to_do(location: str) -> None:
    sessions = AsyncSessions(location)
    with pytest.raises(StoreError, match=r"async with AsyncSessions"):
        sessions.ttl
    with pytest.raises(TypeError, match=r"await sessions.length\(\)"):
        len(sessions)
    with pytest.raises(TypeError, match="async with"):
        with sessions:
            pass
    with pytest.raises(ValueError, match="timeout"):
        AsyncSessions(location, timeout=-1)
