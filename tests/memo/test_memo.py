"""`memo` on functions and methods: keys, what is stored, what happens when the store fails."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from changed import change

from store import Store
from store.errors import StoreError
from store.memo import CacheInfo, memo
from store.memo.sources import Outcome

ran: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


@pytest.fixture
def s(place: str, clock: Any) -> Iterator[Store[Any]]:
    with Store[Any](place, clock=clock) as opened:
        yield opened


def double(x: Any, *, log: Any = None) -> Any:
    ran.append(x)
    return x * 2


def test_result_is_computed_once_and_stored(s: Store[Any]) -> None:
    f = memo(s)(double)
    assert [f(2), f(2), f(x=2), f(2, log=None), f(3)] == [4, 4, 4, 4, 6]
    assert ran == [2, 3]
    assert f.cache_info() == CacheInfo(hits=3, misses=2, stored=2, errors=0)
    assert sorted(s.within("memo").values()) == [4, 6]
    assert len(s) == 0  # it has a namespace of its own


def test_arguments_are_kept_apart_by_type(s: Store[Any]) -> None:
    f = memo(s)(double)
    assert [repr(f(x)) for x in (1, 1.0, True, "1", 0.0, -0.0)] == ["2", "2.0", "2", "'11'", "0.0", "-0.0"]
    assert len(ran) == 6


def test_variable_arguments(s: Store[Any]) -> None:
    @memo(s, ignore="log")
    def f(*args: Any, **kwargs: Any) -> Any:
        ran.append((args, kwargs))
        return args, kwargs

    assert f(1, 2, a=3) == ((1, 2), {"a": 3})
    assert f(1, 2, a=3, log=print) == ((1, 2), {"a": 3})
    assert f(1, a=3) == f(1, a=3, log=4) == ((1,), {"a": 3})
    assert f((1, 2), a=3) == (((1, 2),), {"a": 3})
    assert len(ran) == 3


def test_wrong_call_is_a_type_error_of_that_function(s: Store[Any]) -> None:
    with pytest.raises(TypeError, match=r"^double\(\): missing a required.*'x'"):
        memo(s)(double)()  # type: ignore[call-arg]


def test_ignored_argument_makes_no_difference(s: Store[Any]) -> None:
    f = memo(s, ignore=("log",))(double)
    assert f(2, log=print) == f(2, log=sys.stdout) == 4
    assert ran == [2]


def test_argument_without_a_form_is_named(s: Store[Any]) -> None:
    with pytest.raises(TypeError, match=r"'log' cannot be part of a key: a .*TextIOWrapper.*ignore=\('log',\).*key="):
        with open("/dev/null") as stream:
            memo(s)(double)(2, log=stream)
    assert ran == []


def test_key_of_the_programs_own(s: Store[Any]) -> None:
    f = memo(s, key=lambda x, log: x % 10)(double)
    assert f(2) == f(12) == f(x=22, log=object()) == 4
    with pytest.raises(TypeError, match="what key= makes"):
        memo(s, key=lambda x, log: object())(double)(1)


@pytest.mark.parametrize("value", [None, False, 0, "", [], ()])
def test_empty_results_are_results(s: Store[Any], value: Any) -> None:
    @memo(s)
    def f() -> Any:
        ran.append(1)
        return value

    assert f() == f() == value
    assert ran == [1]


def test_result_is_a_fresh_object_each_time(s: Store[Any]) -> None:
    f = memo(s)(double)
    f([1]).append("changed by the caller that computed")
    f([1]).append("changed by another")
    assert f([1]) == [1, 1]


def test_version_name_and_namespace_begin_anew(s: Store[Any]) -> None:
    options: list[dict[str, Any]] = [{}, {"version": 1}, {"version": "1"}, {"name": "other"}, {"namespace": "other"}]
    functions = [memo(s, **one)(double) for one in options]
    for f in [*functions, *functions]:
        assert f(2) == 4
    assert len(ran) == len(options)


def test_source_of_an_edited_function_is_another(s: Store[Any], tmp_path: Path) -> None:
    file, found = tmp_path / "edited.py", []
    for number, source in enumerate(("def f(x): return x + 1\n", "def f(x): return x + 2  \n", "def f(x): return x + 1\n")):
        file.write_text(source)
        variables: dict[str, Any] = {"__name__": "edited"}
        exec(compile(source, str(file), "exec"), variables)
        found.append([memo(s)(variables["f"])(1), memo(s, source=False)(variables["f"])(1)])
        assert memo(s)(variables["f"]).cache_info().stored == min(number + 2, 3)
    assert found == [[2, 2], [3, 2], [2, 2]]


def test_lambdas_of_one_name_are_told_apart(s: Store[Any]) -> None:
    assert [memo(s)(f)(1) for f in (lambda x: x + 1, lambda x: x + 2, lambda x: [x for _ in (1, 2)])] == [2, 3, [1, 1]]


def test_ttl_by_the_clock_of_the_store(s: Store[Any], clock: Any) -> None:
    f = memo(s, ttl=10)(double)
    f(2), clock.advance(9), f(2)
    assert ran == [2]
    clock.advance(2)
    assert f.cache_info().stored == 0
    assert f(2) == 4
    assert ran == [2, 2]


def test_expired_results_do_not_pile_up(s: Store[Any], clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.memo.records.PURGE_EVERY", 2)
    f = memo(s, ttl=10)(double)
    f(1), f(2), clock.advance(11), f(3)
    assert s.within("memo").purge() == 0


def test_forget(s: Store[Any]) -> None:
    f = memo(s, exceptions=ZeroDivisionError)(double)
    other = memo(s, name="doubles")(double)
    f(1), f(2), other(1)
    assert (f.forget(1), f.forget(x=1), f.forget(7)) == (True, False, False)
    f(1)
    assert ran == [1, 2, 1, 1]
    assert memo(s, version=2)(double)(1) == 2
    assert f.forget_all() == 3  # with those of the other version
    assert (f.cache_info().stored, other.cache_info().stored) == (0, 1)


def test_forget_all_and_count_go_by_pages(s: Store[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.memo.records.PAGE", 3)
    f = memo(s)(double)
    for x in range(8):
        f(x)
    assert f.cache_info().stored == 8
    assert f.forget_all() == 8
    assert f.cache_info().stored == 0


def test_uncached_is_the_function(s: Store[Any]) -> None:
    f = memo(s)(double)
    assert f.uncached is double is f.__wrapped__
    assert f.uncached(2) == f.uncached(2) == 4
    assert (ran, f.cache_info()) == ([2, 2], CacheInfo(0, 0, 0, 0))


# -- exceptions


def fails(x: Any) -> Any:
    ran.append(x)
    raise (KeyError if x else ValueError)("no", x)


def test_exceptions_are_not_stored(s: Store[Any]) -> None:
    f = memo(s)(fails)
    for _ in range(2):
        with pytest.raises(KeyError):
            f(1)
    assert ran == [1, 1]


def test_outcome_that_another_program_keeps_meanwhile_is_no_failure(s: Store[Any], monkeypatch: Any) -> None:
    if not s.opened.engine.transactions.optimistic:
        pytest.skip("nobody can write meanwhile")
    delete = Store.delete
    f = memo(s, name="f", exceptions=KeyError, source=False)(double)

    def overtaken(records: Store[Any], name: str) -> Any:
        monkeypatch.setattr(Store, "delete", delete)
        found = delete(records, name)
        thread = threading.Thread(target=records.put, args=(name, "raised there"))
        thread.start()
        thread.join()
        return found

    monkeypatch.setattr(Store, "delete", overtaken)
    assert f(4) == 8
    assert f.cache_info().errors == 0


def test_exceptions_asked_for_are_stored_and_raised_anew(s: Store[Any]) -> None:
    f = memo(s, exceptions=(LookupError,))(fails)
    depths = []
    for _ in range(3):
        with pytest.raises(KeyError) as caught:
            f(1)
        assert caught.value.args == ("no", 1)
        depths.append(len(caught.traceback))
        with pytest.raises(ValueError):
            f(0)
    assert ran == [1, 0, 0, 0]
    assert depths[1] == depths[2]  # a traceback of its own
    assert f.cache_info() == CacheInfo(hits=2, misses=4, stored=1, errors=0)
    assert f.forget(1)
    with pytest.raises(KeyError):
        f(1)
    assert ran == [1, 0, 0, 0, 1]


def test_result_takes_the_place_of_an_exception(s: Store[Any]) -> None:
    outcomes: list[Any] = [KeyError("no"), "yes"]

    def f() -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    with pytest.raises(KeyError):
        memo(s, exceptions=KeyError, source=False)(f)()
    assert memo(s, source=False)(f)() == "yes"  # it stores no exceptions, and is told none
    assert memo(s, exceptions=KeyError, source=False)(f)() == "yes"


def test_exception_and_result_never_stand_beside_each_other(s: Store[Any]) -> None:
    f = memo(s, exceptions=KeyError)(double)
    name = f._key.of((1,), {})
    for outcome in (Outcome(KeyError("no"), raised=True), Outcome(2), Outcome(KeyError("no"), raised=True)):
        assert f._records.keep(name, outcome)
        assert repr(f._records.find(name)) == repr(outcome)
        assert f.cache_info().stored == 1


# -- methods


@dataclass
class Scale:
    by: int

    def times(self, x: int) -> int:
        ran.append((self.by, x))
        return self.by * x


class Odd:
    pass


def test_methods_by_the_value_of_self(s: Store[Any]) -> None:
    class Memoized(Scale):
        times = memo(s)(Scale.times)

    two, also_two, three = Memoized(2), Memoized(2), Memoized(3)
    assert [two.times(5), also_two.times(x=5), three.times(5), Memoized.times(two, 5)] == [10, 10, 15, 10]
    assert ran == [(2, 5), (3, 5)]
    assert two.times.cache_info().hits == 2
    assert two.times.uncached(5) == 10
    assert two.times.forget(5) is True
    assert Memoized.times.forget(three, 5) is True
    assert two.times.forget_all() == 0
    assert two.times == two.times != also_two.times
    assert pickle.loads(pickle.dumps(len)) is len


def test_method_of_an_object_without_a_form(s: Store[Any]) -> None:
    class Service:
        @memo(s)
        def load(self, x: int) -> int:
            return x

        @memo(s, ignore=("self",))
        def free(self, x: int) -> int:
            ran.append(x)
            return x

    with pytest.raises(TypeError, match=r"'self'.*ignore=\('self',\).*__memo_key__"):
        Service().load(1)
    assert Service().free(1) == Service().free(1) == 1
    assert ran == [1]


def test_static_and_class_methods_in_both_orders(s: Store[Any]) -> None:
    class A:
        @staticmethod
        @memo(s)
        def static_above(x: int) -> Any:
            return ran.append(x) or x

        @memo(s)
        @staticmethod
        def static_below(x: int) -> Any:
            return ran.append(x) or x

        @classmethod
        @memo(s)
        def class_above(cls, x: int) -> Any:
            return ran.append(x) or (cls.__name__, x)

        @memo(s)
        @classmethod
        def class_below(cls, x: int) -> Any:
            return ran.append(x) or (cls.__name__, x)

    class B(A):
        pass

    assert [A.static_above(1), A().static_above(1), A.static_below(2), A().static_below(2)] == [1, 1, 2, 2]
    assert [A.class_above(3), A().class_above(3), A.class_below(4), A().class_below(4)] == [("A", 3)] * 2 + [("A", 4)] * 2
    assert ran == [1, 2, 3, 4]
    assert [B.class_above(3), B.class_below(4), B().class_below(4)] == [("B", 3), ("B", 4), ("B", 4)]
    assert ran == [1, 2, 3, 4, 3, 4]
    assert A.static_above.forget(1) and A.static_below.forget(2) and B.class_below.forget(4)
    assert A.class_below.cache_info().stored == 1


# -- what it looks like


def documented(x: int, y: str = "a") -> int:
    """Says what it does."""
    return x


def test_it_looks_like_the_function(s: Store[Any]) -> None:
    f = memo(s)(documented)
    assert (f.__name__, f.__doc__, f.__module__) == ("documented", "Says what it does.", __name__)
    assert inspect.signature(f) == inspect.signature(documented)
    assert "documented" in repr(f)


@pytest.mark.parametrize(
    "wrong, error",
    [
        (lambda: memo(double), "memo keeps results in a store"),  # type: ignore[arg-type]
        (lambda: memo("x.db", ttl=-1)(double), "ttl is a number"),
        (lambda: memo("x.db", wait=-1), "wait is a number"),
        (lambda: memo("x.db", wait="1"), "wait is a number"),  # type: ignore[arg-type]
        (lambda: memo(""), "may not be empty"),
        (lambda: memo("nothing://x"), "unknown scheme 'nothing'"),
        (lambda: memo("x.db", ignore=(3,))(double), "ignore is names"),  # type: ignore[arg-type]
        (lambda: memo("x.db", ignore=3)(double), "ignore is names"),  # type: ignore[arg-type]
        (lambda: memo("x.db", name=3)(double), "name is a text"),  # type: ignore[arg-type]
        (lambda: memo("x.db", ignore="lag")(double), "double has no parameter 'lag'"),
        (lambda: memo("x.db", ignore="log", key=len)(double), "ignore= has no effect beside key="),
        (lambda: memo("x.db", key=1)(double), "key is a function"),  # type: ignore[arg-type]
        (lambda: memo("x.db", version=object())(double), "version cannot be part of a key"),
        (lambda: memo("x.db", exceptions=(KeyboardInterrupt,)), "exceptions are classes"),  # type: ignore[arg-type]
        (lambda: memo("x.db")(Scale), "memo decorates functions"),
        (lambda: memo("x.db")(3), "memo decorates functions"),  # type: ignore[call-overload]
        (lambda: memo("x.db")(i for i in ()), "memo decorates functions"),  # type: ignore[call-overload]
        (lambda: memo("x.db")(generator), "is a generator"),
        (lambda: memo("x.db")(__import__("functools").partial(double, 1)), "has no name.*name="),
    ],
)  # fmt: skip
def test_wrong_use_is_told_at_once(wrong: Any, error: str) -> None:
    with pytest.raises((TypeError, ValueError), match=error):
        wrong()


def generator() -> Iterator[int]:
    yield 1


def test_function_that_calls_itself_with_other_arguments(s: Store[Any]) -> None:
    @memo(s)
    def fib(n: int) -> int:
        ran.append(n)
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    assert fib(20) == 6765
    assert sorted(ran) == list(range(21))


def test_function_that_calls_itself_with_the_same_arguments(s: Store[Any]) -> None:
    @memo(s)
    def f(n: int) -> int:
        return g(n)

    @memo(s)
    def g(n: int) -> int:
        return f(n)

    with pytest.raises(RecursionError, match="f calls itself with the same arguments"):
        f(1)


# -- stores that are opened by path, closed, broken


def test_path_is_opened_with_the_first_call_and_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    f, g = memo(path)(double), memo(str(path), name="g")(double)
    assert not path.exists()
    assert [f(2), g(2), f(2)] == [4, 4, 4]
    monkeypatch.chdir(path.parent)
    assert memo(path.name)(double)(2) == 4
    assert ran == [2, 2]
    from store.engines.sqlite.opening import attach as sqlite_attach

    assert [engine.handles for engine in sqlite_attach._engines.values()] == [1]
    g.close(), f.close()
    assert f(2) == 4
    assert ran == [2, 2]
    f.close()


@pytest.mark.slow
def test_file_left_open_is_closed_by_the_end_of_the_program(place: str) -> None:
    program = "import sys; from store.memo import memo; f = memo(sys.argv[1])(lambda x: x); print(f(1))"
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program, place], capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


def test_memory_and_url(path: Path) -> None:
    for where in (":memory:", f"sqlite:///{path}"):
        f = memo(where)(double)
        assert [f(2), f(2)] == [4, 4]
        f.close()
    assert ran == [2, 2]
    assert path.exists()


def test_unstorable_result_is_returned_with_one_warning(s: Store[Any]) -> None:
    @memo(s)
    def f(x: int) -> Any:
        ran.append(x)
        return {"x": [threading.Lock()]}

    with pytest.warns(RuntimeWarning, match=r"f: its result cannot be stored.*value\['x'\]\[0\].*lock") as caught:
        assert f(1).keys() == {"x"}
    assert [one.filename for one in caught] == [__file__]
    f(1), f(2)
    assert ran == [1, 1, 2]
    assert f.cache_info() == CacheInfo(hits=0, misses=3, stored=0, errors=3)


def test_closed_store_does_not_fail_a_call(place: str) -> None:
    s = Store[Any](place)
    f = memo(s)(double)
    f(2)
    s.close()
    with pytest.warns(RuntimeWarning, match="double: the store failed.*was closed") as caught:
        assert f(2) == 4
    assert len(caught) == 1
    assert f(2) == 4
    with pytest.raises(StoreError):
        f.cache_info()


@pytest.mark.damaged
def test_damaged_record_is_computed_anew(place: str) -> None:
    with Store[Any](place) as s:
        f = memo(s)(double)
        f(2)
    change(place, "UPDATE records SET body = x'00'")
    with Store[Any](place) as s:
        f = memo(s)(double)
        with pytest.warns(RuntimeWarning, match="the store failed"):
            assert f(2) == 4
        assert f(2) == 4
    assert ran == [2, 2]


@pytest.mark.damaged
def test_record_of_somebody_else_by_the_trust_of_the_store(place: str) -> None:
    with Store[Any](place, key=b"the key of others") as s:
        memo(s)(double)(2)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "has no|.*do(es)? not hold", UserWarning)
        own, data = Store[Any](place, key=b"mine" * 8, trust="own"), Store[Any](place, key=b"mine" * 8)
    with own, data:
        assert memo(data)(double)(2) == 4
        assert ran == [2]
        with pytest.warns(RuntimeWarning, match="not sealed with a key of yours"):
            assert memo(own)(double)(2) == 4
        assert ran == [2, 2]
        assert memo(own)(double)(2) == 4
        assert ran == [2, 2]


def test_store_that_cannot_be_opened(tmp_path: Path) -> None:
    f = memo(tmp_path / "nowhere" / "cache.db")(double)
    with pytest.warns(RuntimeWarning, match="the store failed.*nowhere") as caught:
        assert f(2) == 4
    assert len(caught) == 1
    assert f(2) == 4


def test_file_that_was_deleted_is_made_anew(path: Path) -> None:
    f = memo(path)(double)
    f(2)
    for file in path.parent.glob("app.db*"):
        if file.is_file():
            file.unlink()
    with pytest.warns(RuntimeWarning, match="the store failed"):
        assert f(3) == 6  # reading may go on for a second, writing does not
    assert [f(2), f(2)] == [4, 4]
    assert ran == [2, 3, 2]
    assert f.cache_info().stored == 1
    f.close()


def test_store_that_may_only_be_read(place: str) -> None:
    with Store[Any](place) as s:
        memo(s)(double)(2)
    with Store[Any](place, mode="r") as s:
        f = memo(s)(double)
        assert f(2) == 4
        with pytest.warns(RuntimeWarning, match='mode="r"'):
            assert f(3) == 6
    assert ran == [2, 3]


def test_codec_of_the_store(place: str) -> None:
    with Store[Any](place, codec="json") as s:
        f = memo(s, exceptions=KeyError)(double)
        assert f([1]) == f([1]) == [1, 1]
        assert [record.codec for record in s.within("memo").records()] == ["json"]
        g = memo(s, exceptions=KeyError)(fails)
        for _ in range(2):
            with pytest.raises(KeyError):
                g(1)
        assert ran == [[1], 1]


def test_call_inside_a_transaction_neither_waits_nor_fails(s: Store[Any]) -> None:
    f = memo(s)(double)
    with s.transaction():
        assert [f(2), f(2)] == [4, 4]
    assert (f(2), ran) == (4, [2])
    with pytest.raises(KeyError), s.transaction():
        assert f(3) == 6
        raise KeyError
    assert f.cache_info().stored == 1  # it went with the transaction


def test_import_loads_neither_asyncio_nor_numpy() -> None:
    program = "import sys, store.memo; print(sorted({'asyncio', 'numpy', 'filelock', 'sqlite_utils'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


# -- first and cached calls give the same


def test_results_of_first_and_cached_calls_can_be_changed_alike(place: str) -> None:
    np = pytest.importorskip("numpy", reason="NumPy is not installed: results that are arrays are not tested")
    kept = [1]

    def array(n: int) -> Any:
        return np.zeros(n)

    with Store[Any](place) as s:
        has_parts = s.opened.engine.blobs is not None  # else there is nothing to map
    for mmap, writable in ((None, True), (False, True), (True, not has_parts)):
        f = memo(place, mmap=mmap, name=f"f{mmap}")(array)
        assert [f(300_000).flags.writeable for _ in range(3)] == [writable] * 3  # large enough to be a file
        assert [f(3).flags.writeable for _ in range(3)] == [True] * 3
        f.close()
    with Store[Any](place) as s:
        f = memo(s, name="as the store has it")(array)
        assert [f(300_000).flags.writeable for _ in range(2)] == [not has_parts] * 2
    g = memo(place, version=1)(lambda: kept)
    g().append(2)
    assert (g(), kept) == ([1], [1])  # not the object that the function goes on using
    g.close()


def test_mmap_of_a_store_is_its_own(s: Store[Any]) -> None:
    with pytest.raises(ValueError, match=r"Store\(\.\.\., mmap=\)"):
        memo(s, mmap=True)
    with pytest.raises(TypeError, match="mmap is True or False"):
        memo("x.db", mmap=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("library", ["freezegun", "time_machine"])
def test_waiting_does_not_depend_on_a_clock_that_stands_still(place: str, library: str) -> None:
    module = pytest.importorskip(library, reason=f"{library} is not installed: memo under its clock is not tested")
    frozen = module.freeze_time("2026-01-01") if library == "freezegun" else module.travel(0, tick=False)
    inside, go = threading.Event(), threading.Event()

    def slow() -> str:
        if not inside.is_set():
            inside.set()
            assert go.wait(30)
        return "done"

    with frozen:
        f = memo(place, wait=0.05, source=False)(slow)
        first = threading.Thread(target=f)
        first.start()
        assert inside.wait(30)
        assert f() == "done"  # it waited, and then computed itself
        go.set()
        first.join()
        assert f.cache_info().misses == 2
        f.close()


@pytest.mark.parametrize("library", ["freezegun", "time_machine"])
@pytest.mark.slow
def test_ttl_by_a_clock_that_a_test_sets(place: str, library: str) -> None:
    module = pytest.importorskip(library, reason=f"{library} is not installed: memo under its clock is not tested")
    travel = module.freeze_time if library == "freezegun" else partial(module.travel, tick=False)
    with Store[Any](place) as s, travel("2030-01-01 12:00Z"):
        if abs(s.opened.engine.now() - time.time()) > 60:
            pytest.skip("the engine takes the time from its server, where no library of this process sets it")
    f = memo(place, ttl=3600)(double)
    with travel("2030-01-01 12:00Z"):
        assert [f(2), f(2)] == [4, 4]
    with travel("2030-01-01 12:59Z"):
        assert (f(2), ran) == (4, [2])
    with travel("2030-01-01 13:01Z"):
        assert (f(2), ran) == (4, [2, 2])
    f.close()
