"""`transaction`: all or nothing, at every depth."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from free import needs_held

from store import Store
from store.errors import LockTimeout, NotSerializable, ReadOnly, StoreError


class Failure(BaseException):
    """Not an Exception: a transaction must not care."""


@pytest.fixture
def s(location: str) -> Iterator[Store[Any]]:
    with Store[Any](location, timeout=10) as opened:
        yield opened


@pytest.fixture
def shared(place: str) -> Iterator[Store[Any]]:
    """A file that other handles and processes open too."""
    with Store[Any](place, timeout=10) as opened:
        yield opened


def test_all_of_it_is_kept(s: Store[Any]) -> None:
    with s.transaction():
        s["a"] = 1
        s.update(b=2)
        s.setdefault("c", 3)
    assert list(s.items()) == [("a", 1), ("b", 2), ("c", 3)]


@pytest.mark.parametrize("error", [RuntimeError, KeyError, KeyboardInterrupt, SystemExit, GeneratorExit, Failure])
def test_exception_undoes_every_kind_of_write(s: Store[Any], error: type[BaseException]) -> None:
    s.update(a=1, b=[2], c=3, d=4, e=5)
    before = list(s.items()), list(s.records())
    with pytest.raises(error), s.transaction():
        s["a"] = "changed"
        s["new"] = 1
        del s["c"]
        s.pop("d")
        s.popitem()
        s.update(x=1, a=2)
        s.setdefault("y", 1)
        s.modify("a", lambda value: value + 1)
        s.put("z", 1, ttl=5)
        s.touch("a", 5)
        with s.edit("b") as value:
            value.append(3)
        with s.within("other") as other:
            other["a"] = 1
        s.clear()
        assert list(s) == []
        raise error
    assert (list(s.items()), list(s.records())) == before
    assert s.namespaces() == [""]


def test_reads_inside_see_its_writes(s: Store[Any]) -> None:
    s["old"] = 0
    with s.transaction():
        s["a"] = 1
        del s["old"]
        assert (s["a"], s.get("old"), "a" in s, len(s)) == (1, None, True, 1)
        assert (list(s), list(s.values()), s.names()) == (["a"], [1], ["a"])
        assert s == {"a": 1}
        assert s.record("a").revision == 1
        assert s.get_many(["a", "old"]) == {"a": 1}


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
def test_nested_undoes_what_its_block_did_and_no_more(s: Store[Any], raise_at: int, caught_at: int) -> None:
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

    s["first"] = 0
    for mapping, start in ((model, begin), (s, s.transaction)):
        try:
            program(mapping, start, raise_at, caught_at)
        except Failure:
            mapping["failed"] = True
    assert list(s.items()) == list(model.items())


def test_nested_many_times(s: Store[Any]) -> None:
    with s.transaction():
        for i in range(300):
            try:
                with s.transaction():
                    s[f"n{i}"] = i
                    if i % 3 == 0:
                        raise Failure
            except Failure:
                pass
    assert list(s.values()) == [i for i in range(300) if i % 3]


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


def test_of_one_handle_is_that_of_all_on_the_file(shared: Store[Any], place: str) -> None:
    with Store[Any](place) as other:
        with pytest.raises(Failure), shared.transaction():
            other["a"] = 1
            with other.transaction():
                shared["b"] = 1
            assert shared == other == {"a": 1, "b": 1}
            raise Failure
        assert dict(other) == {}


def test_needs_a_store_that_may_be_written(shared: Store[Any], place: str) -> None:
    with Store[Any](place, mode="r") as reader, pytest.raises(ReadOnly), reader.transaction():
        pytest.fail("got in")


def test_values_written_in_it_are_seen_by_others_when_it_ends(shared: Store[Any], place: str, start: Any) -> None:
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
        place,
    )
    assert reader.hear() == "ready"
    with shared.transaction():
        shared.update(a=1, b=2)
        reader.say()
        assert reader.hear() == "[0, null]"
        assert reader.hear() == "ready"
    reader.say()
    assert reader.hear() == "[2, 1]"


@pytest.mark.slow
def test_of_a_process_that_is_killed_leaves_nothing(shared: Store[Any], place: str, start: Any) -> None:
    needs_held(shared)
    shared["a"] = 1
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
        place,
    )
    writer.hear()
    with Store[Any](place, timeout=0.05) as impatient, pytest.raises(LockTimeout, match="another writer"):
        impatient["b"] = 1
    writer.kill()
    shared["b"] = 1
    assert dict(shared) == {"a": 1, "b": 1}


def test_holds_off_other_threads(s: Store[Any]) -> None:
    needs_held(s)
    s["n"] = 0
    inside, goes_on = threading.Event(), threading.Event()
    seen: list[Any] = []

    def other() -> None:
        inside.wait(10)
        seen.append(s["n"])
        goes_on.set()
        s.modify("n", lambda value: value + 1)

    thread = threading.Thread(target=other)
    thread.start()
    with s.transaction():
        s["n"] = 10
        inside.set()
        assert goes_on.wait(10)
        s["n"] += 1
    thread.join(10)
    assert seen == [0]
    assert s["n"] == 12


def test_of_one_thread_is_not_that_of_another(shared: Store[Any]) -> None:
    needs_held(shared)
    errors: list[BaseException] = []

    def other() -> None:
        try:
            with Store[Any](shared.location, timeout=0.05) as mine:
                assert dict(mine) == {}
                mine["b"] = 1
        except BaseException as exc:
            errors.append(exc)

    with shared.transaction():
        shared["a"] = 1
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(10)
    assert [type(error) for error in errors] == [LockTimeout]
    assert dict(shared) == {"a": 1}
