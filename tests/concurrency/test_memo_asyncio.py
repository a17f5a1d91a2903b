"""`memo` on coroutine functions: tasks wait without holding up the loop, and cancellation frees who waits."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.memo import memo
from store.memo import tasks as memo_async
from store.memo import turns as memo_turns

WAIT = 30.0  # seconds, for what takes milliseconds

HOLDER = """
    import asyncio, sys
    from store.memo import memo

    @memo(sys.argv[1], name="f", source=False)
    async def f(x):
        print("computing", flush=True)
        sys.stdin.readline()
        return "theirs"

    print(asyncio.run(f(1)), flush=True)
"""

ran: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


@pytest.fixture
def s(place: str) -> Iterator[Store[Any]]:
    with Store[Any](place) as opened:
        yield opened
    for thread in threading.enumerate():  # of tasks that were cancelled
        if isinstance(thread, memo_async.Keeper):
            thread.join(WAIT)


def run(main: Any) -> Any:
    async def bounded() -> Any:
        return await asyncio.wait_for(main, WAIT)

    return asyncio.run(bounded())


async def double(x: Any) -> Any:
    ran.append(x)
    return x * 2


async def started(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), WAIT)


def gated(s: Store[Any]) -> tuple[Any, asyncio.Event, asyncio.Event]:
    """A function that reports when it computes, and then waits: (function, inside, go)."""
    inside, go = asyncio.Event(), asyncio.Event()

    @memo(s, name="f", source=False)
    async def f() -> str:
        ran.append(1)
        inside.set()
        await go.wait()
        return "result"

    return f, inside, go


def test_result_is_computed_once(s: Store[Any]) -> None:
    f = memo(s)(double)

    async def main() -> Any:
        return [await f(2), await f(x=2), await asyncio.gather(*(f(x) for x in (3, 3, 3, 4)))]

    assert run(main()) == [4, 4, [6, 6, 6, 8]]
    assert sorted(ran) == [2, 3, 4]
    assert f.cache_info() == (3, 3, 3, 0)
    assert inspect.iscoroutinefunction(f)
    assert f.forget(2) and run(f.uncached(2)) == 4


def test_methods(s: Store[Any]) -> None:
    class A:
        @memo(s, ignore="self")
        async def load(self, x: int) -> int:
            ran.append(x)
            return x

    async def main() -> Any:
        return await A().load(1), await A().load(1), A().load.forget(1)

    assert inspect.iscoroutinefunction(A().load)
    assert run(main()) == (1, 1, True)
    assert ran == [1]


def test_wrong_argument_is_told_by_the_call_itself(s: Store[Any]) -> None:
    with pytest.raises(TypeError, match="'x' cannot be part of a key"):
        memo(s)(double)(object())


def test_loop_goes_on_while_tasks_wait(s: Store[Any]) -> None:
    async def main() -> Any:
        f, inside, go = gated(s)
        tasks = [asyncio.create_task(f()) for _ in range(5)]
        await started(inside)
        for _ in range(20):
            await asyncio.sleep(0)  # each of them is waiting by now
        assert not any(task.done() for task in tasks)
        go.set()
        return await asyncio.gather(*tasks)

    assert run(main()) == ["result"] * 5
    assert ran == [1]


def test_cancelled_task_frees_those_who_wait(s: Store[Any]) -> None:
    async def main() -> Any:
        inside, never = asyncio.Event(), asyncio.Event()

        @memo(s, name="f", source=False)
        async def f() -> str:
            ran.append(1)
            if len(ran) == 1:
                inside.set()
                await never.wait()
            return "second"

        first = asyncio.create_task(f())
        await started(inside)
        others = [asyncio.create_task(f()) for _ in range(3)]
        await asyncio.sleep(0)
        first.cancel()
        found = await asyncio.gather(*others)
        assert first.cancelled() or first.cancelling()
        with pytest.raises(asyncio.CancelledError):
            await first
        return found

    assert run(main()) == ["second"] * 3
    assert ran == [1, 1]
    assert memo_turns._turns == {}


def test_waiting_task_that_is_cancelled_harms_nobody(s: Store[Any]) -> None:
    async def main() -> Any:
        f, inside, go = gated(s)
        first = asyncio.create_task(f())
        await started(inside)
        second, third = asyncio.create_task(f()), asyncio.create_task(f())
        await asyncio.sleep(0)
        second.cancel()
        go.set()
        return await asyncio.gather(first, second, third, return_exceptions=True)

    first, second, third = run(main())
    assert (first, third, type(second)) == ("result", "result", asyncio.CancelledError)
    assert ran == [1]


def test_exception_is_raised_and_the_next_task_computes(s: Store[Any]) -> None:
    @memo(s, name="f", source=False)
    async def f() -> str:
        ran.append(1)
        await asyncio.sleep(0)
        if len(ran) == 1:
            raise KeyError("no")
        return "second"

    async def main() -> Any:
        return await asyncio.gather(f(), f(), f(), return_exceptions=True)

    first, *others = run(main())
    assert (type(first), others) == (KeyError, ["second"] * 2)
    assert ran == [1, 1]


def test_exception_asked_for_is_stored(s: Store[Any]) -> None:
    @memo(s, name="f", source=False, exceptions=KeyError)
    async def f() -> str:
        ran.append(1)
        raise KeyError("no")

    for _ in range(2):
        with pytest.raises(KeyError, match="no"):
            run(f())
    assert ran == [1]


def test_unstorable_result_is_returned_with_one_warning(s: Store[Any]) -> None:
    @memo(s, name="f", source=False)
    async def f() -> Any:
        return threading.Lock()

    with pytest.warns(RuntimeWarning, match="its result cannot be stored") as caught:
        run(f()), run(f())
    assert len(caught) == 1


def test_loops_in_several_threads_compute_once(s: Store[Any]) -> None:
    inside, go, all_in = threading.Event(), threading.Event(), threading.Barrier(4, timeout=WAIT)

    @memo(s, name="f", source=False)
    async def f() -> str:
        ran.append(1)
        inside.set()
        await asyncio.get_running_loop().run_in_executor(None, go.wait, WAIT)
        return "result"

    async def main(number: int) -> None:
        task = asyncio.create_task(f())
        await asyncio.sleep(0)
        all_in.wait() if number else None
        results.append(await task)

    results: list[str] = []
    threads = [threading.Thread(target=run, args=(main(0),))]
    threads[0].start()
    assert inside.wait(WAIT)
    threads += [threading.Thread(target=run, args=(main(number),)) for number in (1, 2, 3)]
    for thread in threads[1:]:
        thread.start()
    all_in.wait()  # the others have joined
    go.set()
    for thread in threads:
        thread.join(WAIT)
        assert not thread.is_alive()
    assert (results, ran) == (["result"] * 4, [1])


def test_tasks_inside_of_different_calls_wait_for_what_they_share(s: Store[Any]) -> None:
    @memo(s, name="shared", source=False)
    async def shared() -> str:
        ran.append("shared")
        await asyncio.sleep(0)
        return "shared"

    @memo(s, name="page", source=False)
    async def page(x: int) -> Any:
        return x, await shared()

    async def main() -> Any:
        return await asyncio.gather(*(page(x) for x in range(4)))

    assert run(main()) == [(x, "shared") for x in range(4)]
    assert ran == ["shared"]


def test_tasks_that_cross_do_not_wait_for_each_other(s: Store[Any]) -> None:
    async def main() -> Any:
        in_f, in_g = asyncio.Event(), asyncio.Event()

        @memo(s, name="f", source=False)
        async def f(depth: int) -> str:
            in_f.set()
            await in_g.wait()
            return "f" + await g(1) if depth and len(ran) < 2 and not ran.append("f") else "f"

        @memo(s, name="g", source=False)
        async def g(depth: int) -> str:
            in_g.set()
            await in_f.wait()
            return "g" + await f(1) if depth and len(ran) < 2 and not ran.append("g") else "g"

        return await asyncio.gather(f(1), g(1))

    found = run(main())
    assert [one[0] for one in found] == ["f", "g"]


def test_recursion_is_an_error_also_by_way_of_a_task(s: Store[Any]) -> None:
    @memo(s, name="f", source=False)
    async def f(x: int) -> Any:
        return await asyncio.create_task(f(x)) if x else "end"

    with pytest.raises(RecursionError, match="calls itself with the same arguments"):
        run(f(1))


def test_task_that_outlives_the_call_is_free_to_call_again(s: Store[Any]) -> None:
    later: list[Any] = []
    over = asyncio.Event()

    async def after() -> Any:
        await over.wait()
        f.forget(1)
        return await f(1)

    @memo(s, name="f", source=False)
    async def f(x: int) -> int:
        ran.append(x)
        if not later:
            later.append(asyncio.create_task(after()))
        return x

    async def main() -> Any:
        assert await f(1) == 1
        over.set()
        return await later[0]

    assert run(main()) == 1
    assert ran == [1, 1]


@pytest.mark.slow
def test_killed_process_frees_the_tasks_and_the_loop_goes_on(path: Path, program: Callable[..., Any]) -> None:
    child = program(HOLDER, path)
    assert child.line() == "computing"
    f = memo(path, name="f", source=False)(double)

    async def main() -> Any:
        tasks = [asyncio.create_task(f(1)) for _ in range(3)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert not any(task.done() for task in tasks)
        child.kill()  # by this loop, which so is not held up
        return await asyncio.gather(*tasks)

    assert run(main()) == [2, 2, 2]
    assert ran == [1]
    f.close()


@pytest.mark.slow
def test_task_that_is_cancelled_while_another_process_computes(path: Path, program: Callable[..., Any]) -> None:
    child = program(HOLDER, path)
    assert child.line() == "computing"
    f = memo(path, name="f", source=False)(double)

    async def main() -> None:
        task = asyncio.create_task(f(1))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    for thread in threading.enumerate():  # it sees that nobody wants the lock any more
        if isinstance(thread, memo_async.Keeper):
            thread.join(WAIT)
            assert not thread.is_alive()
    child.tell()
    assert child.output() == "theirs\n"
    f.close()


def test_memoized_function_is_pickled_by_name() -> None:
    assert pickle.loads(pickle.dumps(of_this_module)) is of_this_module


@memo("never-opened.db")
async def of_this_module() -> None: ...
