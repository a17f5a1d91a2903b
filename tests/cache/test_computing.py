"""`get_or_compute` and `memoize` in one process: once for all callers, and anew before a value expires."""

from __future__ import annotations

import asyncio
import math
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from store import Store, errors
from store.cache import Cache
from store.cache.computing import is_due
from store.cache.notes import Note
from store.memo import memo

WAIT = 30.0  # seconds, for what takes milliseconds
ALWAYS = 1e12  # as `early`: any value is due


@contextmanager
def another_computing(c: Cache[Any], name: str) -> Iterator[None]:
    """While the block runs, a thread is in the middle of computing that name."""
    begun, may_go_on = threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        assert may_go_on.wait(WAIT)
        return "slow"

    thread = threading.Thread(target=c.get_or_compute, args=(name, slow))
    thread.start()
    try:
        assert begun.wait(WAIT)
        yield
    finally:
        may_go_on.set()
        thread.join(WAIT)


class Counter:
    """A function that counts its calls, and returns their number in a list."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> list[int]:
        self.calls += 1
        return [self.calls]


class TestGetOrCompute:
    def test_computes_once(self, c: Cache[Any]) -> None:
        compute = Counter()
        assert [c.get_or_compute("a", compute) for _ in range(3)] == [[1]] * 3
        assert (compute.calls, c["a"]) == (1, [1])
        stats = c.stats()
        assert (stats.hits, stats.misses) == (3, 1)

    def test_none_is_a_value(self, c: Cache[Any]) -> None:
        compute: Callable[[], None] = lambda: calls.append(1)  # noqa: E731
        calls: list[int] = []
        assert (c.get_or_compute("a", compute), c.get_or_compute("a", compute)) == (None, None)
        assert calls == [1]

    def test_ttl_and_tag(self, c: Cache[Any], clock: Any) -> None:
        compute = Counter()
        c.get_or_compute("a", compute, ttl=10, tag="t")
        assert c.tag_of("a") == "t"
        clock.advance(10)
        assert c.get_or_compute("a", compute, ttl=None) == [2]
        clock.advance(1e6)
        assert (c["a"], c.tag_of("a")) == ([2], None)

    def test_caller_gets_an_object_of_its_own(self, c: Cache[Any]) -> None:
        value = [1]
        assert c.get_or_compute("a", lambda: value) == value
        assert c.get_or_compute("b", lambda: value) is not value

    def test_exception_is_raised_and_nothing_stored(self, c: Cache[Any]) -> None:
        def fail() -> None:
            raise LookupError("no")

        for _ in range(2):
            with pytest.raises(LookupError, match="no"):
                c.get_or_compute("a", fail)
        assert c.get_or_compute("a", lambda: 1) == 1

    def test_value_that_cannot_be_stored_is_an_error(self, c: Cache[Any]) -> None:
        with pytest.raises(errors.NotSerializable):
            c.get_or_compute("a", lambda: lambda: 1)
        assert c.get_or_compute("a", lambda: 1) == 1

    def test_reader_takes_the_value_that_is_due(self, path: Path, clock: Any) -> None:
        with Cache[Any](path, clock=clock) as c:
            assert c.get_or_compute("a", list, ttl=50, early=1.0) == []
            with Cache[Any](path, clock=clock, mode="r") as reader:
                assert reader.get_or_compute("a", Counter(), ttl=50, early=ALWAYS) == []
            assert c.get_or_compute("a", Counter(), ttl=50, early=ALWAYS) == [1]

    def test_coroutine_function_is_a_type_error(self, c: Cache[Any]) -> None:
        async def compute() -> int:
            return 1

        with pytest.raises(TypeError, match=r"coroutine function.*@cache\.memoize"):
            c.get_or_compute("a", compute)
        assert asyncio.run(c.memoize(compute)()) == 1

    def test_asking_for_itself_is_a_recursion_error(self, c: Cache[Any]) -> None:
        with pytest.raises(RecursionError, match="get_or_compute\\('a'\\)"):
            c.get_or_compute("a", lambda: c.get_or_compute("a", lambda: 1))
        assert c.get_or_compute("a", lambda: c.get_or_compute("b", lambda: 1) + 1) == 2

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ({"early": -1}, ValueError), ({"early": "1"}, TypeError), ({"early": math.inf}, ValueError),
            ({"ttl": 0}, ValueError), ({"tag": 1}, TypeError), ({"wait": -1}, ValueError), ({"wait": "x"}, TypeError),
        ],
    )  # fmt: skip
    def test_wrong_argument_computes_nothing(self, c: Cache[Any], arguments: Any, error: type[Exception]) -> None:
        compute = Counter()
        with pytest.raises(error):
            c.get_or_compute("a", compute, **arguments)
        assert compute.calls == 0

    @pytest.mark.filterwarnings("ignore:.*sealed with a key")
    @pytest.mark.damaged
    def test_record_that_cannot_be_read_is_computed_anew(self, path: Path) -> None:
        with Cache[Any](path, codec="json") as c:
            c["a"] = 1
        with Cache[Any](path, trust="own", key=b"another key, of 32 bytes or more") as c:
            with pytest.raises(errors.Untrusted):
                c["a"]
            assert (c.get_or_compute("a", lambda: 2), c["a"]) == (2, 2)

    @pytest.mark.filterwarnings("ignore:.*sealed with a key")
    @pytest.mark.damaged
    def test_only_a_record_that_cannot_be_read_is_discarded(self, path: Path) -> None:
        with Cache[Any](path, codec="json") as c:
            c.set("a", 1, tag="t")
        with Cache[Any](path, trust="own", key=b"another key, of 32 bytes or more") as c:
            assert (c.add("a", 2), c.discard_unreadable("a"), c.add("a", 2)) == (False, True, True)
            assert (c.discard_unreadable("a"), c.discard_unreadable("b"), c["a"]) == (False, False, 2)
            assert c.evict("t") == 0  # its note went with it

    def test_read_only_cache_computes_nothing_it_could_not_keep(self, path: Path) -> None:
        with Cache[Any](path) as c:
            c["a"] = 1
        compute = Counter()
        with Cache[Any](path, mode="r") as c:
            assert c.get_or_compute("a", compute) == 1
            with pytest.raises(errors.ReadOnly):
                c.get_or_compute("b", compute)

    def test_inside_a_transaction(self, c: Cache[Any]) -> None:
        with c.transaction():
            assert c.get_or_compute("a", lambda: 1) == 1
            assert c.get_or_compute("a", lambda: 2) == 1
        assert c["a"] == 1
        with pytest.raises(LookupError):
            with c.transaction():
                c.get_or_compute("b", lambda: 1)
                raise LookupError
        assert "b" not in c


class TestThreads:
    def test_one_computes_and_the_others_wait(self, c: Cache[Any]) -> None:
        begun, may_go_on = threading.Event(), threading.Event()
        calls, results = [], []

        def compute() -> list[int]:
            calls.append(threading.get_ident())
            begun.set()
            assert may_go_on.wait(WAIT)
            return [7]

        threads = [threading.Thread(target=lambda: results.append(c.get_or_compute("a", compute))) for _ in range(6)]
        for thread in threads:
            thread.start()
        assert begun.wait(WAIT)
        may_go_on.set()
        for thread in threads:
            thread.join(WAIT)
        assert (len(calls), results) == (1, [[7]] * 6)

    def test_wait_bounds_the_waiting(self, c: Cache[Any]) -> None:
        with another_computing(c, "a"):
            assert c.get_or_compute("a", lambda: "quick", wait=0) == "quick"

    def test_in_a_transaction_another_thread_is_not_waited_for(self, c: Cache[Any]) -> None:
        with another_computing(c, "a"), c.transaction():
            assert c.get_or_compute("a", lambda: "here") == "here"

    def test_exception_lets_another_caller_compute(self, c: Cache[Any]) -> None:
        begun, may_go_on = threading.Event(), threading.Event()
        results: list[object] = []

        def fail() -> None:
            begun.set()
            assert may_go_on.wait(WAIT)
            raise LookupError

        def call(compute: Callable[[], Any]) -> None:
            try:
                results.append(c.get_or_compute("a", compute))
            except LookupError:
                results.append("failed")

        first = threading.Thread(target=call, args=(fail,))
        first.start()
        assert begun.wait(WAIT)
        second = threading.Thread(target=call, args=(lambda: 2,))
        second.start()
        may_go_on.set()
        for thread in (first, second):
            thread.join(WAIT)
        assert sorted(map(str, results)) == ["2", "failed"]


class TestEarly:
    def test_formula_of_the_paper(self) -> None:
        note = Note("1-0", None, 2.0, 100.0)
        even = 1 - math.exp(-1)  # -log(1 - chance) is 1
        assert [is_due(note, now, 1.0, even) for now in (97.9, 98.0, 99.0, 100.0)] == [False, True, True, True]
        assert [is_due(note, 95.9, early, even) for early in (0.0, 1.0, 2.0, 2.1)] == [False, False, False, True]
        assert not is_due(note, 99.9, 1.0, 0.0)
        assert not is_due(note._replace(cost=None), 100.0, 1.0, even)
        assert not is_due(note._replace(expires=None), 1e9, 1.0, even)

    def test_share_that_recomputes_grows_towards_the_expiry(self) -> None:
        note = Note("1-0", None, 1.0, 10.0)
        chances = [number / 1000 for number in range(1000)]
        shares = [sum(is_due(note, now, 1.0, chance) for chance in chances) / 1000 for now in (5, 8, 9, 9.5)]
        assert shares == [0.006, 0.135, 0.367, 0.606]

    def test_due_value_is_computed_anew_and_lives_from_then_on(self, c: Cache[Any], clock: Any) -> None:
        compute = Counter()
        assert c.get_or_compute("a", compute, ttl=10, early=ALWAYS, tag="t") == [1]
        clock.advance(9)
        assert c.get_or_compute("a", compute, ttl=10, early=ALWAYS, tag="t") == [2]
        clock.advance(9)
        assert (c["a"], c.tag_of("a")) == ([2], "t")
        stats = c.stats()
        assert (stats.hits, stats.misses) == (2, 1)

    @pytest.mark.parametrize("how", [{"early": 0.0}, {"early": 1e-12}, {"early": ALWAYS, "ttl": None}])
    def test_value_that_is_not_due_is_returned(self, c: Cache[Any], clock: Any, how: dict[str, Any]) -> None:
        compute = Counter()
        c.get_or_compute("a", compute, **{"ttl": 1e6, "early": 1.0} | how)
        assert c.get_or_compute("a", compute, **{"ttl": 1e6} | how) == [1]

    def test_value_of_another_writer_is_not_computed_by_the_old_note(self, c: Cache[Any]) -> None:
        compute = Counter()
        c.get_or_compute("a", compute, ttl=10, early=ALWAYS)
        c.set("a", "set", ttl=10)
        assert c.get_or_compute("a", compute, ttl=10, early=ALWAYS) == "set"

    def test_one_thread_computes_and_the_others_take_what_there_is(self, c: Cache[Any]) -> None:
        begun, may_go_on = threading.Event(), threading.Event()
        c.get_or_compute("a", lambda: "old", ttl=10, early=ALWAYS)

        def slow() -> str:
            begun.set()
            assert may_go_on.wait(WAIT)
            return "new"

        results: list[str] = []
        thread = threading.Thread(target=lambda: results.append(c.get_or_compute("a", slow, ttl=10, early=ALWAYS)))
        thread.start()
        try:
            assert begun.wait(WAIT)
            assert c.get_or_compute("a", lambda: "other", ttl=10, early=ALWAYS) == "old"
        finally:
            may_go_on.set()
            thread.join(WAIT)
        assert (results, c["a"]) == (["new"], "new")

    def test_lock_of_another_process_is_not_waited_for(self, c: Cache[Any]) -> None:
        c.get_or_compute("a", lambda: "old", ttl=10, early=ALWAYS)
        with c._records.at("a").lock("a"):
            assert c.get_or_compute("a", lambda: "new", ttl=10, early=ALWAYS) == "old"
        assert c.get_or_compute("a", lambda: "new", ttl=10, early=ALWAYS) == "new"

    def test_exception_is_raised_and_the_value_stays(self, c: Cache[Any]) -> None:
        c.get_or_compute("a", lambda: "old", ttl=10, early=ALWAYS)

        def fail() -> None:
            raise LookupError

        with pytest.raises(LookupError):
            c.get_or_compute("a", fail, ttl=10, early=ALWAYS)
        assert c["a"] == "old"


class TestMemoize:
    def test_results_are_records(self, c: Cache[Any]) -> None:
        calls = []

        @c.memoize
        def double(x: int, *, log: object = None) -> int:
            calls.append(x)
            return 2 * x

        assert [double(1), double(x=1), double(2)] == [2, 2, 4]
        assert (calls, double.cache_info()[:3], len(c)) == ([1, 2], (1, 2, 2), 2)
        assert (c.stats().hits, c.stats().misses) == (1, 2)
        assert (double.forget(1), double.forget_all(), len(c)) == (True, 1, 0)

    def test_options(self, c: Cache[Any], clock: Any) -> None:
        calls = []

        @c.memoize(ttl=10, tag="t", ignore=("log",), version=2)
        def double(x: int, *, log: object = None) -> int:
            calls.append(x)
            return 2 * x

        double(1, log=object()), double(1, log=None)
        assert calls == [1]
        assert [c.tag_of(name) for name in c] == ["t"]
        assert c.evict("t") == 1
        double(1)
        clock.advance(10)
        double(1)
        assert calls == [1, 1, 1]

    def test_keys_are_those_of_memo(self, path: Path) -> None:
        with Cache[Any](path) as c, Store[Any](path) as s:

            def double(x: int) -> int:
                return 2 * x

            c.memoize(double)(1)
            memo(s, namespace="cache")(double)(1)
            assert len(c) == 1

    def test_method_exceptions_and_early(self, c: Cache[Any]) -> None:

        class Table:
            calls = 0

            def __memo_key__(self) -> str:
                return "table"

            @c.memoize(exceptions=LookupError, source=False)
            def row(self, x: int) -> int:
                Table.calls += 1
                if x < 0:
                    raise LookupError(x)
                return x

            @c.memoize(ttl=10, early=ALWAYS, source=False)
            def fresh(self) -> int:
                Table.calls += 1
                return Table.calls

        table = Table()
        assert [table.row(1), table.row(1), Table.calls] == [1, 1, 1]
        for _ in range(2):
            with pytest.raises(LookupError, match="-1"):
                table.row(-1)
        assert Table.calls == 2
        assert [table.fresh(), table.fresh()] == [3, 4]

    def test_coroutines(self, c: Cache[Any]) -> None:
        calls = []

        @c.memoize(ttl=10, early=ALWAYS)
        async def fetch(x: int) -> int:
            calls.append(x)
            await asyncio.sleep(0)
            return len(calls)

        async def both() -> list[int]:
            return [*await asyncio.gather(fetch(1), fetch(1)), await fetch(1)]

        assert asyncio.run(both()) == [1, 1, 2]

        async def while_another_computes() -> int:
            name = next(iter(c))
            with c._records.at(name).lock(f"memo {name}"):
                return await asyncio.to_thread(lambda: asyncio.run(fetch(1)))

        assert asyncio.run(while_another_computes()) == 2

    def test_result_that_cannot_be_stored_is_returned_with_a_warning(self, c: Cache[Any]) -> None:
        @c.memoize
        def make() -> Any:
            return lambda: 5

        with pytest.warns(RuntimeWarning, match="cannot be stored"):
            assert make()() == 5

    def test_function_that_is_pickled_by_value_opens_the_cache_again(self, path: Path) -> None:
        cloudpickle = pytest.importorskip(
            "cloudpickle", reason="cloudpickle is not installed: by value is not tested"
        )
        with Cache[Any](path, max_records=7) as c:
            sent = cloudpickle.dumps(c.memoize(ttl=60, tag="t")(lambda x: x + 1))
            again = pickle.loads(sent)
            assert [again(1), again(1), again.cache_info()[:3]] == [2, 2, (1, 1, 1)]
            assert c.evict("t") == 1

    def test_wrong_arguments(self, c: Cache[Any]) -> None:
        for wrong in ({"ttl": 0}, {"early": -1}, {"wait": -1}, {"name": "a:b"}):
            with pytest.raises(ValueError):
                c.memoize(**wrong)  # type: ignore[call-overload]
        with pytest.raises(TypeError, match="decorates functions"):
            c.memoize(5)  # type: ignore[call-overload]
