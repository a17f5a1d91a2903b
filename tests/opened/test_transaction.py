"""`transaction`: all or nothing, at every depth."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.errors import LockTimeout, NotSerializable, ReadOnly, StoreError


class Failure(BaseException):
    """Not an Exception: a transaction must not care."""


@pytest.fixture
def s(path: Path) -> Iterator[Store[Any]]:
    with Store[Any](path, timeout=10) as opened:
        yield opened


@pytest.fixture(params=["file", "memory"])
def each(request: pytest.FixtureRequest, path: Path) -> Iterator[Store[Any]]:
    with Store[Any](path if request.param == "file" else ":memory:", timeout=10) as opened:
        yield opened


def test_all_of_it_is_kept(each: Store[Any]) -> None:
    with each.transaction():
        each["a"] = 1
        each.update(b=2)
        each.setdefault("c", 3)
    assert list(each.items()) == [("a", 1), ("b", 2), ("c", 3)]


@pytest.mark.parametrize("error", [RuntimeError, KeyError, KeyboardInterrupt, SystemExit, GeneratorExit, Failure])
def test_exception_undoes_every_kind_of_write(each: Store[Any], error: type[BaseException]) -> None:
    each.update(a=1, b=[2], c=3, d=4, e=5)
    before = list(each.items()), list(each.records())
    with pytest.raises(error), each.transaction():
        each["a"] = "changed"
        each["new"] = 1
        del each["c"]
        each.pop("d")
        each.popitem()
        each.update(x=1, a=2)
        each.setdefault("y", 1)
        each.modify("a", lambda value: value + 1)
        each.put("z", 1, ttl=5)
        each.touch("a", 5)
        with each.edit("b") as value:
            value.append(3)
        with each.within("other") as other:
            other["a"] = 1
        each.clear()
        assert list(each) == []
        raise error
    assert (list(each.items()), list(each.records())) == before
    assert each.namespaces() == [""]


def test_reads_inside_see_its_writes(each: Store[Any]) -> None:
    each["old"] = 0
    with each.transaction():
        each["a"] = 1
        del each["old"]
        assert (each["a"], each.get("old"), "a" in each, len(each)) == (1, None, True, 1)
        assert (list(each), list(each.values()), each.names()) == (["a"], [1], ["a"])
        assert each == {"a": 1}
        assert each.record("a").revision == 1
        assert each.get_many(["a", "old"]) == {"a": 1}


def program(
    mapping: MutableMapping[str, Any],
    begin: Callable[[], AbstractContextManager[Any]],
    raise_at: int,
    caught_at: int,
    level: int = 1,
) -> None:
    """Three transactions, each in the next; one fails, and one further out catches that."""
    with begin():
        mapping[f"before {level}"] = mapping["last"] = level
        if level < 3:
            try:
                program(mapping, begin, raise_at, caught_at, level + 1)
            except Failure:
                if level != caught_at:
                    raise
        mapping[f"after {level}"] = mapping["last"] = -level
        if level == raise_at:
            raise Failure


@pytest.mark.parametrize("caught_at", [0, 1, 2])
@pytest.mark.parametrize("raise_at", [1, 2, 3, 99])
def test_nested_undoes_what_its_block_did_and_no_more(each: Store[Any], raise_at: int, caught_at: int) -> None:
    model: dict[str, Any] = {"first": 0}

    @contextmanager
    def begin() -> Iterator[None]:
        before = dict(model)
        try:
            yield
        except BaseException:
            model.clear()
            model.update(before)
            raise

    each["first"] = 0
    for mapping, start in ((model, begin), (each, each.transaction)):
        try:
            program(mapping, start, raise_at, caught_at)
        except Failure:
            mapping["failed"] = True
    assert list(each.items()) == list(model.items())


def test_nested_many_times(each: Store[Any]) -> None:
    with each.transaction():
        for i in range(300):
            try:
                with each.transaction():
                    each[f"n{i}"] = i
                    if i % 3 == 0:
                        raise Failure
            except Failure:
                pass
    assert list(each.values()) == [i for i in range(300) if i % 3]


def test_error_of_a_write_that_is_caught_leaves_the_rest(s: Store[Any]) -> None:
    with s.transaction():
        s["a"] = 1
        with pytest.raises(NotSerializable):
            s["b"] = lambda: 0
        with pytest.raises(NotSerializable):
            s.update(c=1, d=lambda: 0)
        with pytest.raises(KeyError):
            del s["gone"]
        s["e"] = 1
    assert dict(s) == {"a": 1, "e": 1}


def test_is_entered_once(s: Store[Any]) -> None:
    transaction = s.transaction()
    with transaction:
        s["a"] = 1
    with pytest.raises(StoreError, match="once"), transaction:
        pytest.fail("got in")
    assert dict(s) == {"a": 1}


def test_of_one_handle_is_that_of_all_on_the_file(s: Store[Any], path: Path) -> None:
    with Store[Any](path) as other:
        with pytest.raises(Failure), s.transaction():
            other["a"] = 1
            with other.transaction():
                s["b"] = 1
            assert s == other == {"a": 1, "b": 1}
            raise Failure
        assert dict(other) == {}


def test_needs_a_store_that_may_be_written(s: Store[Any], path: Path) -> None:
    with Store[Any](path, mode="r") as reader, pytest.raises(ReadOnly), reader.transaction():
        pytest.fail("got in")


def test_values_written_in_it_are_seen_by_others_when_it_ends(s: Store[Any], path: Path, start: Any) -> None:
    reader = start(
        """
        import json, sys
        from store import Store
        with Store(sys.argv[1]) as s:
            for _ in range(2):
                print("ready", flush=True)
                input()
                print(json.dumps([len(s), s.get("a")]), flush=True)
        """,
        path,
    )
    assert reader.hear() == "ready"
    with s.transaction():
        s.update(a=1, b=2)
        reader.say()
        assert reader.hear() == "[0, null]"
        assert reader.hear() == "ready"
    reader.say()
    assert reader.hear() == "[2, 1]"


def test_of_a_process_that_is_killed_leaves_nothing(s: Store[Any], path: Path, start: Any) -> None:
    s["a"] = 1
    writer = start(
        """
        import sys
        from store import Store
        with Store(sys.argv[1]) as s, s.transaction():
            with s.transaction():
                s["a"] = 2
                s.update({f"n{i}": "x" * 1000 for i in range(3000)})
            print("inside", flush=True)
            input()
        """,
        path,
    )
    writer.hear()
    with Store[Any](path, timeout=0.05) as impatient, pytest.raises(LockTimeout, match="another writer"):
        impatient["b"] = 1
    writer.kill()
    s["b"] = 1
    assert dict(s) == {"a": 1, "b": 1}


def test_holds_off_other_threads(each: Store[Any]) -> None:
    each["n"] = 0
    inside, goes_on = threading.Event(), threading.Event()
    seen: list[Any] = []

    def other() -> None:
        inside.wait(10)
        seen.append(each["n"])
        goes_on.set()
        each.modify("n", lambda value: value + 1)

    thread = threading.Thread(target=other)
    thread.start()
    with each.transaction():
        each["n"] = 10
        inside.set()
        assert goes_on.wait(10)
        each["n"] += 1
    thread.join(10)
    assert seen == [0]
    assert each["n"] == 12


def test_of_one_thread_is_not_that_of_another(s: Store[Any]) -> None:
    errors: list[BaseException] = []

    def other() -> None:
        try:
            with Store[Any](s.location, timeout=0.05) as mine:
                assert dict(mine) == {}
                mine["b"] = 1
        except BaseException as exc:
            errors.append(exc)

    with s.transaction():
        s["a"] = 1
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(10)
    assert [type(error) for error in errors] == [LockTimeout]
    assert dict(s) == {"a": 1}
