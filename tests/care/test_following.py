"""`copy(follow=True)`: the target keeps up with a source that others write, until the switch.

`stop` is asked between two looks, so each of its steps writes at a known moment; no test waits for another thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import store
from store import Store
from store.care import copying
from store.errors import LockTimeout, Unsupported


@pytest.fixture(params=["file", "memory", "postgres"])
def source(request: pytest.FixtureRequest, path: Path, clock: Any) -> Iterator[Store[Any]]:
    place = {"file": path.with_name("source.db"), "memory": ":memory:"}.get(request.param)
    if place is None:  # beside a target of the same database, whose tables have no prefix
        place = f"{request.getfixturevalue('postgres_url')}&prefix=source_"
    with Store[Any](place, clock=clock, spill_bytes=1000) as s:
        if s.opened.engine.changes is None:
            pytest.skip(f"the engine {s.opened.engine.kind} has no changes")
        s.update({"a": 1, "b": 2, "c": 3})
        yield s


@pytest.fixture(params=["file", "postgres"])
def target(request: pytest.FixtureRequest, path: Path, clock: Any) -> Iterator[Store[Any]]:
    place = path if request.param == "file" else request.getfixturevalue("postgres_url")
    with Store[Any](place, clock=clock, spill_bytes=1000) as s:
        yield s


def steps(*work: Callable[[], object]) -> Callable[[], bool]:
    """A `stop` that does one thing each time it is asked, and says to stop with the last one."""
    left = list(work)

    def stop() -> bool:
        left.pop(0)()
        return not left

    return stop


def content(s: Store[Any]) -> list[Any]:
    found = []
    for space in s.namespaces():
        with s.within(space) as part:
            for name in part:
                record = part.record(name)
                found.append((space, name, part[name], record.revision, record.created, record.modified, record.expires))
    return found


def nothing() -> None:
    """Between two looks nothing happens."""


def test_writes_and_deletions_arrive_between_two_looks(source: Store[Any], target: Store[Any], clock: Any) -> None:
    states = []

    def change() -> None:
        clock.advance(1)
        source["b"] = 20
        del source["a"]
        source["d"] = bytes(5000)

    def again() -> None:
        states.append(dict(target))
        source["a"] = "at the end"
        with source.within("new") as part:
            part["x"] = 1

    done = store.copy(source, target, follow=True, stop=steps(nothing, change, again, nothing))
    assert states == [{"b": 20, "c": 3, "d": bytes(5000)}]
    assert content(target) == content(source)
    assert list(target) == ["b", "c", "d", "a"]
    assert done.deleted == 1


def test_what_was_written_before_the_stop_is_copied(source: Store[Any], target: Store[Any]) -> None:
    store.copy(source, target, follow=True, stop=steps(lambda: source.update({"z": 26, "a": 0})))
    assert content(target) == content(source)


def test_many_changes_of_one_look_come_in_their_order(
    source: Store[Any], target: Store[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "BATCH", 3)

    def change() -> None:
        for number in range(20):
            source[f"{number * 7 % 20}"] = number
        for number in range(0, 20, 3):
            del source[f"{number}"]
            source[f"{number}"] = "again"

    store.copy(source, target, follow=True, stop=steps(nothing, change, nothing))
    assert content(target) == content(source)


def test_large_record_that_is_put_again_while_it_is_copied_comes_at_its_new_place(
    source: Store[Any], target: Store[Any], clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.update({"big": bytes(5000), "d": 4})
    transferred, calls = copying.transferred, []

    def late(of: Any, row: Any, to: Any) -> Any:
        if row.name == "big" and not calls:
            calls.append(row.name)
            clock.advance(1)
            del source["big"]
            source["big"] = bytes(6000)
        return transferred(of, row, to)

    monkeypatch.setattr(copying, "transferred", late)
    store.copy(source, target, follow=True, stop=steps(nothing, nothing))
    assert calls
    assert content(target) == content(source)
    assert list(target) == ["a", "b", "c", "d", "big"]


@pytest.mark.parametrize("engine", ["file", "postgres"])
@pytest.mark.slow
def test_a_process_that_writes_all_the_while(
    path: Path, start: Any, engine: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy begins while the writer is at it, and is stopped when the writer has ended."""
    monkeypatch.setattr(copying, "BATCH", 7)
    place = path.with_name("source.db")
    goal = str(path) if engine == "file" else request.getfixturevalue("postgres_url")
    program = """
        import random, sys
        from store import Store

        random.seed(7)
        with Store(sys.argv[1]) as s:
            for number in range(600):
                name = f"{random.randrange(40)}"
                if random.random() < 0.3:
                    s.delete(name)
                elif random.random() < 0.3:
                    with s.edit(name, default=[]) as value:
                        value.append(number)
                else:
                    s[name] = [number] * random.randrange(50)
                if number == 100:
                    print("at it", flush=True)
    """
    with Store[Any](place) as source, Store[Any](goal) as target:
        writer = start(program, place)
        assert writer.hear() == "at it"
        store.copy(source, target, follow=True, stop=lambda: writer.process.poll() is not None)
        assert writer.process.returncode == 0
        assert content(target) == content(source)


def test_other_records_of_the_target_stay(source: Store[Any], target: Store[Any]) -> None:
    target["mine"] = 1
    store.copy(source, target, follow=True, stop=steps(lambda: source.pop("a"), nothing))
    assert sorted(target) == ["b", "c", "mine"]


def test_one_namespace(source: Store[Any], target: Store[Any]) -> None:
    with source.within("one") as part:
        store.copy(source, target, namespace="one", follow=True, stop=steps(lambda: part.update({"x": 1}), nothing))
    assert target.namespaces() == ["one"]


def test_a_record_that_expires_goes(source: Store[Any], target: Store[Any], clock: Any) -> None:
    source.put("short", 1, ttl=100)

    def shorten() -> None:
        source.touch("short", ttl=1)
        clock.advance(2)

    store.copy(source, target, follow=True, stop=steps(nothing, shorten, nothing))
    assert sorted(target) == ["a", "b", "c"]
    assert not target.opened.engine.get("", ("short",))


def test_ends_when_nothing_changes(source: Store[Any], target: Store[Any]) -> None:
    assert store.copy(source, target, follow=True, idle=0).records == 3
    assert store.copy(source, target, follow=True, idle=0.05).unchanged == 3


def test_killed_while_it_follows_and_repeated(source: Store[Any], target: Store[Any]) -> None:
    def kill() -> None:
        del source["a"]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.copy(source, target, follow=True, stop=steps(lambda: source.update({"d": 4}), kill))
    assert list(target) == ["a", "b", "c", "d"]
    source["b"] = "later"
    done = store.copy(source, target, follow=True, delete=True, idle=0)
    assert done.deleted == 1  # nobody saw that `a` was deleted
    assert content(target) == content(source)


def test_a_source_that_is_locked_is_looked_at_again(
    source: Store[Any], target: Store[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = source.opened.engine.changes
    assert changes is not None
    monitors = []

    class Busy:
        """A monitor that cannot be read twice."""

        def __init__(self, monitor: Any) -> None:
            self._monitor, self.asked = monitor, 0

        def version(self) -> object:
            self.asked += 1
            if self.asked in (2, 3):
                raise LockTimeout("locked")
            return self._monitor.version()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._monitor, name)

    def watch(space: str) -> Any:
        monitors.append(Busy(type(changes).watch(changes, space)))
        return monitors[-1]

    monkeypatch.setattr(changes, "watch", watch, raising=False)
    store.copy(source, target, follow=True, stop=steps(lambda: source.update({"d": 4})))
    assert content(target) == content(source)
    assert monitors[0].asked == 4


def test_refuses_what_makes_no_sense(source: Store[Any], path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = path.with_name("none.db")
    with pytest.raises(TypeError, match="goes on for ever"):
        store.copy(source, target, follow=True)
    with pytest.raises(TypeError, match="pass that too"):
        store.copy(source, target, idle=1)
    with pytest.raises(TypeError, match="a function"):
        store.copy(source, target, follow=True, stop=True)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="True or False"):
        store.copy(source, target, delete="yes")  # type: ignore[arg-type]
    for idle in (-1, float("nan")):
        with pytest.raises(ValueError, match="from 0 up"):
            store.copy(source, target, follow=True, idle=idle)
    assert not target.exists()
    monkeypatch.setattr(source.opened.engine, "changes", None)
    with pytest.raises(Unsupported, match="following"):
        store.copy(source, target, follow=True, idle=0)
