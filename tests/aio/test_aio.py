"""`AsyncStore`: whose turn it is, what cancelling does, and what is refused. The mapping's contract runs on it too."""

from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import os
import pickle
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from away import is_absent
from tasks import SECONDS, contextless, enter, run, turns

from store import ABSENT, Store
from store.aio import AsyncStore
from store.aio.thread_worker import ThreadWorker as Worker
from store.errors import Conflict, LockTimeout, StoreClosed, StoreError, StoreNotFound

# What Store has operators for; the words for it are in the docstring of the module.
NOT_BY_NAME = {"close", "namespace", "location", "opened"}


# -- what there is


def test_every_method_of_store_is_there_by_its_name_with_the_same_signature() -> None:
    public = {name for name, _ in inspect.getmembers(Store) if not name.startswith("_")}
    assert public - {name for name, _ in inspect.getmembers(AsyncStore)} == {"opened"}
    for name in public - NOT_BY_NAME:
        assert parameters(AsyncStore, name) == parameters(Store, name), name
        assert getattr(AsyncStore, name).__doc__, name
        assert getattr(AsyncStore, name).__qualname__ == f"AsyncStore.{name}"


def parameters(cls: type, name: str) -> list[tuple[str, Any, Any]]:
    found = inspect.signature(getattr(cls, name)).parameters.values()
    return [(p.name, p.kind, p.default) for p in found if (cls, p.name) != (AsyncStore, "reverse") or name in ("names", "records")]


def test_methods_do_what_those_of_store_do(path: Path) -> None:
    async def main() -> None:
        async with AsyncStore[Any](path) as s:
            record = await s.put("a", [1], ttl=1000)
            assert record == await s.record("a")
            assert [r async for r in s.records("a")] == [record]
            with pytest.raises(Conflict):
                await s.put("a", [2], if_version=ABSENT)
            assert await s.modify("a", lambda value: [*value, 2]) == [1, 2]
            assert (await s.touch("a", None)).expires is None
            assert [await s.add("new", 1), await s.add("new", 2), await s.incr("new", 4)] == [True, False, 5]
            assert await s.get_with_record("new") == (5, await s.record("new"))
            assert await s.transact(lambda store: store.pop("new")) == 5
            assert [await s.delete("new"), await s.delete_many(["new"]), await s.delete_prefix("new")] == [False, 0, 0]
            assert [r.name async for r in s.records(reverse=True, limit=1)] == ["a"]
            assert await s.get_many(["a", "b"]) == {"a": [1, 2]}
            assert await s.admit(await s.inspect("a")) == await s.record("a")
            assert (await s.stats()).records == 1
            assert (await s.verify()).ok
            told: list[int] = []
            made = await s.backup(path.with_name("backup.db"), progress=lambda done, total: told.append(total - done))
            assert made.records == 1 and told[-1] == 0
            assert await s.namespaces() == [""]
            assert await s.purge() == 0
            assert (s.location, s.namespace) == (str(path), "")
            with pytest.raises(KeyError):
                await s.getitem("gone")
            with pytest.raises(KeyError):
                await s.pop("gone")
            with pytest.raises(TypeError, match="name is a str"):
                await s.set(1, 1)  # type: ignore[arg-type]
            assert [value async for value in s.values(reverse=True)] == [[1, 2]]

    run(main)


def test_calls_do_what_those_of_store_do_on_every_engine(location: str) -> None:
    async def main() -> None:
        async with AsyncStore[Any](location) as s:
            record = await s.put("a", [1], ttl=1000)
            assert record == await s.record("a") and [r async for r in s.records("a")] == [record]
            with pytest.raises(Conflict):
                await s.put("a", [2], if_version=ABSENT)
            assert await s.modify("a", lambda value: [*value, 2]) == [1, 2]
            assert (await s.touch("a", None)).expires is None
            assert [await s.add("new", 1), await s.add("new", 2), await s.incr("new", 4)] == [True, False, 5]
            assert await s.transact(lambda store: store.pop("new")) == 5
            await s.update({f"n{number}": number for number in range(9)})
            assert await s.get_many(["a", "n8", "b"]) == {"a": [1, 2], "n8": 8}
            assert [await s.delete_prefix("n"), await s.delete("n1"), await s.length()] == [9, False, 1]
            assert [value async for value in s.values(reverse=True)] == [[1, 2]]
            assert (await s.namespaces(), await s.purge(), s.location) == ([""], 0, location)
            with pytest.raises(KeyError):
                await s.getitem("gone")
            await s.clear()
            assert await s.as_dict() == {}

    run(main)


def test_iteration_goes_over_many_batches(location: str) -> None:
    async def main() -> None:
        model = {f"n{number}": number for number in range(1001)}
        async with AsyncStore[int](location) as s:
            await s.update(model)
            assert [name async for name in s] == list(model)
            assert [pair async for pair in s.items(reverse=True)] == list(reversed(model.items()))
            assert await anext(s.keys()) == "n0"

    run(main)


def test_work_is_done_in_one_other_thread(path: Path) -> None:
    async def main() -> None:
        async with AsyncStore[Any](path) as s:
            idents = {await s.modify("a", lambda _: threading.get_ident(), 0) for _ in range(3)}
            idents.add(await s.modify("b", lambda _: threading.get_ident(), 0))
            assert len(idents) == 1
            assert threading.get_ident() not in idents

    run(main)


@pytest.mark.slow
def test_loop_goes_on_while_another_program_holds_the_store(place: str, start: Any) -> None:
    holder = start(
        """
        import sys
        from store import ABSENT, Store
        with Store(sys.argv[1]) as s, s.transaction():
            print("inside", flush=True)
            input()
        """,
        place,
    )

    async def main() -> None:
        async with AsyncStore[Any](place) as s:
            assert holder.hear() == "inside"
            writing = asyncio.create_task(s.set("a", 1))
            await turns(1000)
            assert not writing.done()
            holder.say()
            await writing
            assert await s.getitem("a") == 1

    Store[Any](place).close()
    run(main)


# -- transactions


def test_calls_of_other_tasks_wait_until_a_transaction_ends(path: Path) -> None:
    async def main() -> None:
        async with AsyncStore[Any](path) as s:
            done: list[str] = []

            async def other() -> None:
                done.append(f"saw {await s.get('a')}")
                await s.set("other", 1)
                done.append("wrote")

            task = asyncio.create_task(_later(other, started := asyncio.Event()))
            with pytest.raises(RuntimeError):
                async with s.transaction():
                    await s.set("a", "of the transaction")
                    started.set()
                    await turns()
                    assert done == []
                    assert await s.contains("other") is False
                    raise RuntimeError
            await task
            assert done == ["saw None", "wrote"]
            assert await s.as_dict() == {"other": 1}  # it was not rolled back with the other's

    run(main)


async def _later(function: Callable[[], Coroutine[Any, Any, Any]], event: asyncio.Event) -> None:
    await event.wait()
    await function()


def test_turns_are_taken_in_the_order_of_asking(path: Path) -> None:
    async def main() -> None:
        async with AsyncStore[Any](path) as s:
            await s.set("log", [])

            async def add(number: int) -> None:
                async with s.edit("log") as log:
                    await asyncio.sleep(0)
                    log.append(number)

            await asyncio.gather(*map(add, range(20)))
            assert await s.get("log") == list(range(20))

    run(main)


def test_transactions_nest(location: str) -> None:
    async def main() -> None:
        async with AsyncStore[Any](location) as s:
            async with s.transaction():
                await s.set("a", 1)
                with pytest.raises(RuntimeError):
                    async with s.transaction():
                        await s.set("b", 1)
                        raise RuntimeError
                async with s.edit("c", []) as c:
                    c.append(1)
                assert [name async for name in s] == ["a", "c"]
            assert await s.as_dict() == {"a": 1, "c": [1]}

    run(main)


def test_namespaces_share_a_transaction(location: str) -> None:
    async def main() -> None:
        async with AsyncStore[Any](location) as s:
            with pytest.raises(RuntimeError):
                async with s.transaction():
                    async with s.within("inner") as inner:
                        await inner.set("a", 1)
                        assert inner.namespace == "inner"
                    raise RuntimeError
            async with s.within("inner") as inner:
                assert await inner.length() == 0
                await inner.set("b", 1)
            assert await s.namespaces() == ["inner"]

    run(main)


@pytest.mark.parametrize("begin", ["transaction", "edit"])
def test_task_that_was_started_inside_is_refused(location: str, begin: str) -> None:
    async def main() -> None:
        async with AsyncStore[Any](location) as s, AsyncStore[Any](":memory:") as another:
            block = s.transaction() if begin == "transaction" else s.edit("e", {})
            async with block:
                with pytest.raises(StoreError, match="started inside a transaction"):
                    await asyncio.gather(s.get("a"))
                with pytest.raises(StoreError, match="started inside a transaction"):
                    await asyncio.create_task(enter(s.transaction()))
                await asyncio.gather(another.set("a", 1))  # another store's
                afterwards = asyncio.create_task(_later(lambda: s.set("after", 1), ended := asyncio.Event()))
                async with asyncio.timeout(SECONDS):
                    await s.set("a", 1)
            ended.set()
            await afterwards
            assert await s.contains("after")

    run(main)


def test_task_that_waits_for_too_long_is_told(path: Path) -> None:
    async def main() -> None:
        async with AsyncStore[Any](path, timeout=0.01) as s:
            release = asyncio.Event()

            async def hold() -> None:
                async with s.transaction():
                    await release.wait()

            holding = asyncio.create_task(hold())
            await asyncio.sleep(0)
            with pytest.raises(LockTimeout, match="another task"):
                await s.get("a")
            release.set()
            await holding
            assert await s.get("a") is None

    run(main)


def test_task_that_asks_again_at_once_comes_after_those_that_wait(path: Path) -> None:
    async def main() -> None:
        async with AsyncStore[Any](path) as s:
            told = asyncio.Event()

            async def second() -> None:
                async with s.transaction():
                    await told.wait()

            async with s.transaction():
                waiting = contextless(second())
                await turns()
            assert s.opening.worker
            s.opening.worker.timeout = 0  # of who asks from now on
            with pytest.raises(LockTimeout, match="another task"):
                await s.get("a")
            told.set()
            await waiting

    run(main)


def test_tasks_take_turns(path: Path) -> None:
    async def main() -> None:
        async with AsyncStore[Any](path) as s:
            log: list[str] = []

            async def work(name: str) -> None:
                for n in range(10):
                    async with s.transaction():
                        log.append(name)
                        await s.set(name, n)

            await asyncio.gather(*(work(name) for name in "abc"))
            assert "".join(log) == "abc" * 10

    run(main)


@pytest.mark.parametrize("ends", ["cancelled", "out of time"])
def test_turn_that_comes_too_late_goes_to_the_next(ends: str) -> None:
    async def main() -> None:
        worker = Worker(SECONDS, "test")
        worker.users = 1
        await worker.acquire()
        late = asyncio.create_task(worker.acquire())
        if ends == "out of time":
            worker.timeout = 0
        await asyncio.sleep(0)
        worker.timeout = SECONDS
        gone, following = asyncio.create_task(worker.acquire()), asyncio.create_task(worker.acquire())
        await asyncio.sleep(0)
        gone.cancel()
        if ends == "cancelled":
            worker.release()
            late.cancel()
            with pytest.raises(asyncio.CancelledError):
                await late
        else:
            with pytest.raises(LockTimeout):
                await late
            worker.release()
        await following
        worker.release()
        worker.timeout = 0
        await worker.acquire()  # it is free
        worker.release()
        worker.leave()

    run(main)


# -- named locks


def test_named_lock_excludes_tasks_and_holds_up_no_call(location: str) -> None:
    async def main() -> None:
        async with AsyncStore[Any](location) as s:
            log: list[str] = []

            async def work(name: str) -> None:
                async with s.lock("job"):
                    log.append(f"{name} in")
                    await s.set(name, 1)
                    await turns()
                    log.append(f"{name} out")

            await asyncio.gather(work("a"), work("b"))
            assert log == ["a in", "a out", "b in", "b out"]
            async with s.lock("job"):
                with pytest.raises(StoreError, match="already"):
                    async with s.lock("job"):
                        raise AssertionError("never entered")
                with pytest.raises(LockTimeout, match="'job'"):
                    await asyncio.gather(enter(s.lock("job", 0.01)))
                async with s.transaction():
                    with pytest.raises(StoreError, match="take the lock first"):
                        async with s.lock("other"):
                            raise AssertionError("never entered")
            async with s.lock("job", 0):
                pass

    run(main)


def test_named_lock_of_another_handle_is_waited_for(place: str) -> None:
    async def main() -> None:
        async with AsyncStore[Any](place) as s, AsyncStore[Any](place) as other:
            async with other.lock("job"):
                with pytest.raises(LockTimeout, match="'job'"):
                    await enter(s.lock("job", 0.01))
                waiting = asyncio.create_task(enter(s.lock("job")))
                await turns()
                await s.set("a", 1)  # while it waits
                assert not waiting.done()
            await waiting
            cancelled = None
            async with other.lock("job"):
                cancelled = asyncio.create_task(enter(s.lock("job")))
                await turns()
                cancelled.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await cancelled
            async with s.lock("job", 5):
                pass

    run(main)


def test_lock_is_an_object_that_any_task_may_release(place: str) -> None:
    async def main() -> None:
        with Store[Any](place) as other:
            async with AsyncStore[Any](place) as s:
                lock, again = s.lock("job"), s.lock("job")
                assert (lock.locked(), lock.lost, lock.fence) == (False, False, None)
                assert await lock.acquire()
                assert (lock.locked(), again.locked()) == (True, False)
                assert not await again.acquire(blocking=False) and not await again.acquire(timeout=0.01)
                assert not other.lock("job").acquire(timeout=0)
                waiting = asyncio.create_task(again.acquire())
                await asyncio.sleep(0)
                await asyncio.create_task(lock.release())
                assert await waiting
                with pytest.raises(StoreError, match="not held by this object"):
                    await lock.release()
                cancelled = asyncio.create_task(lock.acquire())
                await asyncio.sleep(0)
                cancelled.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await cancelled
                await again.release()
                assert await lock.acquire(timeout=5), "what was cancelled has not taken it"
                await lock.release()
                async with s.lock("job") as entered:
                    assert entered.locked()
                async with s.transaction():
                    with pytest.raises(StoreError, match="take the lock first"):
                        await lock.acquire()
                    assert await lock.acquire(timeout=0)
                await lock.release()

    asyncio.run(main())


# -- watching


def test_watch(location: str) -> None:
    async def main() -> None:
        async with AsyncStore[Any](location) as s:
            async with s.watch(timeout=SECONDS) as changes:
                await s.update(a=1, b=1)
                assert [(await anext(changes)).name for _ in "ab"] == ["a", "b"]
                waiting = asyncio.create_task(anext(changes))
                await turns()
                async with s.transaction():
                    await s.set("c", 1)
                    with pytest.raises(StoreError, match="transaction"):
                        await anext(changes)
                    with pytest.raises(StoreError, match="transaction"):
                        async for _ in s.watch():
                            pass
                assert (await waiting).name == "c"
            assert [change async for change in changes] == []
            assert [change async for change in s.watch(timeout=0)] == []

    run(main)


def test_watch_in_memory_waits_for_no_transaction(path: Path) -> None:
    """There the watcher and the transaction have one connection: to wait for it would be to wait for oneself."""

    async def main() -> None:
        async with AsyncStore[Any](":memory:") as s, s.watch(interval=0.001) as changes:
            watching = contextless(anext(changes))
            async with s.transaction():
                await s.set("a", 1)
                for _ in range(10):
                    await asyncio.sleep(0.001)
                assert not watching.done()
            assert (await watching).name == "a"

    run(main)


# -- opening, closing, and what is refused


def test_close_waits_for_a_transaction_of_another_task(shared: str) -> None:
    async def main() -> None:
        s = await AsyncStore[Any](shared).open()
        inside = asyncio.Event()

        async def write() -> None:
            async with s.transaction():
                inside.set()
                await turns()
                await s.set("a", 1)

        writing = asyncio.create_task(write())
        await inside.wait()
        await asyncio.gather(s.close(), s.close())
        assert writing.done()
        await s.close()
        for call in (s.get("a"), s.open(), s.set("a", 1), enter(s.transaction()), enter(s.lock("a"))):
            with pytest.raises(StoreClosed):
                await call
        with Store[Any](shared) as plain:
            assert plain["a"] == 1

    run(main)


def test_call_that_waits_when_it_is_closed_is_told(location: str) -> None:
    async def main() -> None:
        s = await AsyncStore[Any](location).open()
        closing, late = asyncio.create_task(s.close()), asyncio.create_task(s.set("a", 1))
        await closing
        with pytest.raises(StoreClosed):
            await late

    run(main)


def test_close_inside_its_transaction_is_refused(location: str) -> None:
    async def main() -> None:
        async with AsyncStore[Any](location) as s:
            async with s.transaction():
                with pytest.raises(StoreError, match="inside its transaction"):
                    await s.close()
                await s.set("a", 1)
            assert await s.contains("a")

    run(main)


def test_opened_by_several_tasks_it_is_one(location: str) -> None:
    async def main() -> None:
        s, made = AsyncStore[Any](location), []
        make = s.opening.make
        s.opening.make = lambda: made.append(make()) or made[-1]  # type: ignore[func-returns-value]
        assert set(await asyncio.gather(s.open(), s.open(), s.open())) == {s}
        assert made == [s.opening.opened]
        async with s.within("x") as inner:
            await asyncio.gather(inner.open(), inner.open())
        await s.close()

    run(main)


def test_open_that_fails_leaves_nothing_and_may_be_tried_again(shared: str) -> None:
    async def main() -> None:
        s = AsyncStore[Any](shared, mode="w")
        with pytest.raises(StoreNotFound):
            await s.open()
        Store[Any](shared).close()
        async with s:
            assert await s.length() == 0

    run(main)


def test_store_that_was_given_stays_open(shared: str) -> None:
    async def main(plain: Store[Any]) -> None:
        async with AsyncStore(plain) as s:
            await s.set("a", 1)

    with Store[Any](shared) as plain:
        run(main, plain)
        assert plain["a"] == 1
        with pytest.raises(TypeError, match="no options"):
            AsyncStore(plain, ttl=5)


def test_one_that_was_left_open_warns_and_closes(path: Path) -> None:
    async def main() -> threading.Thread:
        s = await AsyncStore[Any](path, writeback=True).open()
        await s.set("a", [1])
        (await s.getitem("a")).append(2)
        (thread,) = s.opening.worker._executor._threads  # type: ignore[union-attr]
        return thread

    with pytest.warns(ResourceWarning, match="was not closed") as warned:
        thread = run(main)
        end = time.monotonic() + SECONDS
        while not warned.list and time.monotonic() < end:  # its thread refers to it until it waits for work again
            gc.collect()
    thread.join(SECONDS)
    with Store[Any](path) as plain:
        assert plain["a"] == [1, 2]


def test_another_event_loop_is_refused(location: str) -> None:
    async def use(s: AsyncStore[Any]) -> None:
        for call in (s.get("a"), s.open(), s.close(), enter(s.transaction()), enter(s.lock("a"))):
            with pytest.raises(StoreError, match="event loop that it was opened in"):
                await call

    async def main() -> None:
        async with AsyncStore[Any](location) as s:
            errors: list[BaseException] = []

            def other_loop() -> None:
                try:
                    asyncio.run(use(s))
                except BaseException as exc:
                    errors.append(exc)

            thread = threading.Thread(target=other_loop)
            thread.start()
            thread.join(SECONDS)
            assert errors == []
            assert await s.get("a") is None

    run(main)


def test_forked_child_is_refused(location: str) -> None:
    async def main() -> int:
        async with AsyncStore[Any](location) as s:
            read, write = os.pipe()
            pid = os.fork()
            if not pid:
                try:
                    await s.get("a")
                except StoreError as exc:
                    os.write(write, str(exc).encode())
                finally:
                    os._exit(0)
            os.close(write)
            _, status = os.waitpid(pid, 0)
            with os.fdopen(read) as stream:
                assert "fork" in stream.read()
            await s.set("a", 1)
            return status

    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: forks beside threads; we test just that
        assert run(main) == 0


WRONG: list[tuple[Callable[[AsyncStore[Any]], Any], str]] = [
    (lambda s: s["a"], "getitem"),
    (lambda s: s.__setitem__("a", 1), "s.set"),
    (lambda s: s.__delitem__("a"), "s.delitem"),
    (lambda s: "a" in s, "s.contains"),
    (len, "s.length"),
    (bool, "s.length"),
    (list, "async for"),
    (lambda s: s.__enter__(), "async with"),
]


@pytest.mark.parametrize(("use", "words"), WRONG)
def test_operator_says_what_to_write_instead(location: str, use: Callable[[Any], Any], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        use(AsyncStore[Any](location))


def test_ordinary_with_says_to_use_the_other(location: str) -> None:
    async def main() -> None:
        async with AsyncStore[Any](location) as s:
            for block in (s.transaction(), s.edit("a", {})):
                with pytest.raises(TypeError, match="async with"):
                    with block:  # type: ignore[attr-defined]
                        raise AssertionError("never entered")
            assert await s.length() == 0

    run(main)


def test_use_before_it_is_open_says_how_to_open_it(place: str) -> None:
    async def main() -> None:
        s = AsyncStore[Any](place)
        for call in (s.get("a"), enter(s.transaction()), enter(s.watch()), enter(s.lock("a"))):
            with pytest.raises(StoreError, match="async with AsyncStore"):
                await call
        with pytest.raises(StoreError, match="async with AsyncStore"):
            s.within("x")
        assert is_absent(place)
        await s.close()
        with pytest.raises(StoreClosed):
            await s.open()

    run(main)


def test_wrong_option_is_told_when_it_is_opened(place: str) -> None:
    with pytest.raises(TypeError, match="seconds"):
        AsyncStore[Any](place, timeout="1")
    with pytest.raises(TypeError, match="unexpected"):
        run(AsyncStore[Any](place, colour="red").open)


def test_modify_with_a_coroutine_is_refused(location: str) -> None:
    async def add(value: int) -> int:
        return value + 1

    async def main() -> None:
        async with AsyncStore[Any](location) as s:
            with pytest.raises(TypeError, match="plain function"):
                await s.modify("a", add, 0)
            assert await s.length() == 0

    run(main)


def test_pickle_and_copy_are_others_on_the_same_file(shared: str) -> None:
    async def main() -> None:
        async with AsyncStore[Any](shared, namespace="x", ttl=5) as s:
            await s.set("a", 1)
            for other in (copy.copy(s), pickle.loads(pickle.dumps(s))):
                async with other:
                    assert (other.location, other.namespace) == (s.location, "x")
                    assert await other.equals(s)

    run(main)


def test_repr_says_what_and_where(location: str) -> None:
    async def main() -> None:
        s = AsyncStore[Any](location)
        assert repr(s) == "<AsyncStore not open>"
        async with s:
            assert repr(s) == f"<AsyncStore {location!r} namespace=''>"
        assert repr(s) == f"<AsyncStore {location!r} namespace='' closed>"

    run(main)


def test_function_that_raises_stop_iteration_is_no_end_without_an_end(location: str) -> None:
    """A future of Python 3.11 cannot hold it: the task would wait for ever, and nobody could cancel it."""

    async def main() -> None:
        async with AsyncStore[Any](location) as s:
            await s.put("a", 1)
            with pytest.raises(RuntimeError, match="StopIteration"):
                await asyncio.wait_for(s.modify("a", lambda value: next(iter(()))), SECONDS)
            assert await s.get("a") == 1

    run(main)
