"""`copy`: records as they are, in another store, which seals them anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import store
from store import Store, StoreNotFound
from store.care import copying
from store.care.copy import Copied
from store.errors import Conflict, Corrupt, OutcomeUnknown, StorageError, Tampered, Untrusted

SECRET, OTHER = b"a secret of 16 bytes or more", b"another secret of 16 bytes"


@pytest.fixture
def source(path: Path, clock: Any) -> Iterator[Store[Any]]:
    with Store[Any](path.with_name("source.db"), clock=clock, spill_bytes=1000) as s:
        s["a"] = [1]
        clock.advance(1)
        s["a"] = [2]
        s.put("json", {"x": 1}, codec="json", ttl=50)
        s["large"] = bytes(5000)
        s.put("gone", 1, ttl=5)
        s["last"] = "last"
        with s.within("users") as users:
            users["a"] = "ann"
        clock.advance(10)
        yield s


@pytest.fixture(params=["file", "memory", "postgres"])
def target(request: pytest.FixtureRequest, path: Path, clock: Any) -> Iterator[Store[Any]]:
    place = {"file": path, "memory": ":memory:"}.get(request.param) or request.getfixturevalue("postgres_url")
    with Store[Any](place, clock=clock, spill_bytes=1000) as s:
        yield s


def facts(s: Store[Any]) -> list[Any]:
    """All that is to be the same in the copy, in order of insertion."""
    found = []
    for namespace in s.namespaces():
        with s.within(namespace) as part:
            for name in part:
                record = part.record(name)
                times = record.created, record.modified, record.expires
                found.append((namespace, name, part[name], record.revision, record.codec, record.protocol, times))
    return found


def is_sound(s: Store[Any]) -> bool:
    """By a full check, where the engine has one."""
    return s.opened.engine.care is None or s.verify().ok


def test_everything_is_as_it_was(source: Store[Any], target: Store[Any]) -> None:
    assert store.copy(source, target) == Copied(records=5, unchanged=0, expired=1)
    assert facts(target) == facts(source)
    assert is_sound(target)
    assert {record.sealed_by for record in target.records()} == {source.record("a").sealed_by}


def test_again_changes_nothing(source: Store[Any], target: Store[Any]) -> None:
    store.copy(source, target)
    before = facts(target)
    assert store.copy(source, target) == Copied(records=0, unchanged=5, expired=1)
    assert facts(target) == before
    source["a"] = [3]
    assert store.copy(source, target).records == 1
    assert target["a"] == [3]
    assert target.record("a").revision == source.record("a").revision


def test_changed_records_keep_their_place(source: Store[Any], target: Store[Any], clock: Any) -> None:
    store.copy(source, target)
    clock.advance(1)
    source["a"] = [3]
    source["large"] = bytes(6000)
    source["json"] = source.pop("json")
    source["last"] = "the last"
    store.copy(source, target)
    assert facts(target) == facts(source)
    assert list(target) == ["a", "large", "last", "json"]
    assert is_sound(target)


def test_a_name_that_was_deleted_and_written_again_is_at_the_end(source: Store[Any], target: Store[Any]) -> None:
    source["a"] = [3]
    store.copy(source, target)
    del source["a"]
    source["a"] = [4]  # by a clock that stands still
    store.copy(source, target)
    assert list(target) == list(source) == ["json", "large", "last", "a"]


def test_what_the_source_does_not_have_is_deleted_on_request(source: Store[Any], target: Store[Any]) -> None:
    target.update({"other": 1, "more": 2})
    with target.within("nobody's") as part:
        part["x"] = 1
    assert store.copy(source, target, namespace="users", delete=True).deleted == 0
    assert store.copy(source, target).deleted == 0
    assert store.copy(source, target, delete=True).deleted == 3
    assert facts(target) == facts(source)


class Killed(BaseException):
    """What a kill looks like from inside: nothing goes on, and no transaction is committed."""


@pytest.mark.filterwarnings("ignore:.*key")
def test_killed_at_each_step_and_repeated(
    source: Store[Any], target: Store[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "BATCH", 2)
    engine, number, kills = target.opened.engine, 0, 0
    steps = {name: getattr(engine, name) for name in ("get", "apply", "load", "add_sealer")}

    def counted(name: str) -> Any:
        def step(*args: Any, **how: Any) -> Any:
            nonlocal number
            number -= 1
            if number == 0:
                raise Killed
            return steps[name](*args, **how)

        return step

    for name in steps:
        monkeypatch.setattr(engine, name, counted(name))
    while True:
        number = kills + 1
        try:
            store.copy(source, target)
            break
        except Killed:
            kills += 1
            source["a"] = [kills]  # a later run brings what has changed
    assert kills >= 10
    assert facts(target) == facts(source)
    assert is_sound(target)


@pytest.mark.parametrize("kind", ["file", "postgres"])
@pytest.mark.slow
def test_killed_process_is_repeated(
    source: Store[Any], path: Path, start: Any, kind: str, request: pytest.FixtureRequest
) -> None:
    """A process that ends between two batches, and one that ends inside a transaction, after its rows were sent."""
    goal = path if kind == "file" else request.getfixturevalue("postgres_url")
    source.update({f"more {number}": number for number in range(10)})
    program = """
        import os, sys, store
        from store.care import copying

        copying.BATCH = 2
        left = int(sys.argv[3])

        def step(*args):
            global left
            left -= 1
            if left == 0:
                os._exit(9)

        forget = copying.Copying._forget  # called twice in each transaction: before the rows and after
        copying.Copying._forget = lambda self, *args: (step(), forget(self, *args))
        now = float(sys.argv[4])
        with store.Store(sys.argv[1], clock=lambda: now) as s, store.Store(sys.argv[2], clock=lambda: now) as to:
            print(store.copy(s, to, progress=step).records)
    """
    clock = source.opened.clock
    for steps in (3, 5, 9, 10, 14):
        child = start(program, source.location, goal, steps, clock())
        assert child.process.wait(60) == 9
    with Store[Any](goal, clock=clock, spill_bytes=1000) as target:
        store.copy(source, target)
        assert facts(target) == facts(source)
        assert is_sound(target)


def test_a_copy_that_is_not_what_was_copied_is_named(
    source: Store[Any], target: Store[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    load = target.opened.engine.load

    def damaging(rows: Any) -> None:
        load([row._replace(body=row.body + b"x") if row.name == "last" else row for row in rows])

    monkeypatch.setattr(target.opened.engine, "load", damaging)
    with pytest.raises(Corrupt, match=r"record 'last'.*end the writers of the target") as caught:
        store.copy(source, target)
    assert (caught.value.name, caught.value.namespace) == ("last", "")
    target.clear()
    monkeypatch.undo()
    store.copy(source, target)


def test_a_record_that_does_not_arrive_is_named(
    source: Store[Any], target: Store[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    load = target.opened.engine.load
    monkeypatch.setattr(target.opened.engine, "load", lambda rows: load([row for row in rows if row.name != "json"]))
    with pytest.raises(Corrupt, match=r"record 'json'.* is missing"):
        store.copy(source, target)


def test_what_changes_while_it_is_copied_is_copied_again(
    source: Store[Any], target: Store[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    load, changed = target.opened.engine.load, []

    def meanwhile(rows: Any) -> None:
        load(rows)
        if not changed:
            changed.append(1)
            source["a"] = ["changed"]
            source["new"] = "new"

    monkeypatch.setattr(target.opened.engine, "load", meanwhile)
    assert store.copy(source, target).records == 7
    assert facts(target) == facts(source)


def test_a_batch_that_collides_is_written_again(
    source: Store[Any], target: Store[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    load, left = target.opened.engine.load, [1] * 4

    def failing(rows: Any) -> None:
        if left:
            left.pop()
            raise Conflict("another one came first")
        load(rows)

    monkeypatch.setattr(target.opened.engine, "load", failing)
    assert store.copy(source, target).records == 5
    assert facts(target) == facts(source)
    left.extend([1] * 9)
    source["a"] = [3]
    with pytest.raises(Conflict):
        store.copy(source, target)
    assert len(left) == 4


def test_an_unknown_outcome_is_told(
    source: Store[Any], target: Store[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a disk or a standby has it is not seen by reading it again."""

    def failing(rows: Any) -> None:
        raise OutcomeUnknown("the disk did not say")

    monkeypatch.setattr(target.opened.engine, "load", failing)
    with pytest.raises(OutcomeUnknown):
        store.copy(source, target)


def test_an_engine_without_transactions(source: Store[Any], path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step can be repeated by itself there."""
    with Store[Any](path, clock=source.opened.clock, spill_bytes=1000) as target:
        target["a"] = "old"
        with monkeypatch.context() as patch:
            patch.setattr(target.opened.engine, "transactions", None)
            assert store.copy(source, target).records == 5
            source["a"] = [3]
            assert store.copy(source, target, delete=True) == Copied(1, 4, 1)
        assert facts(target) == facts(source)


def test_large_value_that_is_deleted_while_it_is_copied(
    source: Store[Any], target: Store[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    large = source.opened.values.large
    assert large is not None
    for member in ("contents", "body"):
        read = getattr(large, member)

        def deleting(row: Any, *, foreign: bool, read: Any = read) -> Any:
            source.delete("large")
            return read(row, foreign=foreign)

        monkeypatch.setattr(large, member, deleting)
    assert store.copy(source, target).records == 4
    assert "large" not in target and facts(target) == facts(source)


def test_large_value_that_is_replaced_while_it_is_copied(
    source: Store[Any], target: Store[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    large, left = source.opened.values.large, [1]
    assert large is not None
    for member in ("contents", "body"):
        read = getattr(large, member)

        def replacing(row: Any, *, foreign: bool, read: Any = read) -> Any:
            if left:
                left.pop()
                source["large"] = bytes(7000)
                source.compact()  # which removes the files of the old one
            return read(row, foreign=foreign)

        monkeypatch.setattr(large, member, replacing)
    store.copy(source, target)
    assert facts(target) == facts(source)


def test_a_record_that_was_changed_in_the_target_keeps_its_place(
    source: Store[Any], target: Store[Any], clock: Any
) -> None:
    store.copy(source, target)
    clock.advance(1)
    for number in range(3):
        target["a"] = number
    assert store.copy(source, target).records == 1
    assert facts(target) == facts(source)


def test_progress_ends_at_the_total(source: Store[Any], target: Store[Any]) -> None:
    seen: list[tuple[int, int]] = []
    store.copy(source, target, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] and seen == sorted(seen)


class Silent:
    """A codec that decodes nothing once it is told so."""

    name = "silent"
    refuses = False

    def encode(self, value: Any) -> bytes:
        return str(value).encode()

    def decode(self, body: bytes) -> Any:
        assert not self.refuses, "a value was decoded"
        return body.decode()


def test_nothing_is_decoded(path: Path, target: Store[Any]) -> None:
    codec = Silent()
    with Store[Any](path.with_name("source.db"), codec=codec, spill_bytes=1000, clock=target.opened.clock) as source:
        source.update({"a": "a", "large": "x" * 5000})
        codec.refuses = True
        assert store.copy(source, target, delete=True).records == 2  # a target that does not even have the codec
        assert store.copy(source, target, follow=True, idle=0).unchanged == 2
        codec.refuses = False
        there, here = target.opened.find("large"), source.opened.find("large")
        assert there is not None and here is not None
        assert target.opened.values.body_of(there) == source.opened.values.body_of(here) == b"x" * 5000


@pytest.mark.damaged  # its seal is that of another name
def test_a_name_that_a_server_does_not_store_is_told(source: Store[Any], postgres_url: str) -> None:
    row = source.opened.find("a")
    assert row is not None
    source.opened.engine.load([row._replace(name="a\0b")])
    with Store[Any](postgres_url, clock=source.opened.clock) as target:
        with pytest.raises(StorageError, match=r"record 'a\\x00b' has a NUL in its name"):
            store.copy(source, target)
        assert not target.names("last")


def test_between_stores_on_a_server(source: Store[Any], postgres_url: str, clock: Any) -> None:
    with (
        Store[Any](postgres_url, clock=clock) as there,
        Store[Any](f"{postgres_url}&prefix=other_", clock=clock) as other,
        Store[Any](":memory:", clock=clock) as back,
    ):
        store.copy(source, there)
        assert store.copy(there, other).records == 5
        assert store.copy(other, back).records == 5
        assert facts(source) == facts(there) == facts(other) == facts(back)
        assert store.copy(back, there) == Copied(1, 4, 0)  # the large one, which memory keeps in its row
        assert store.copy(back, there) == Copied(0, 5, 0)
        assert facts(source) == facts(there)


def test_what_is_there_is_replaced_and_other_records_stay(source: Store[Any], target: Store[Any]) -> None:
    for _ in range(7):
        target["a"] = "old"
    target["other"] = 1
    store.copy(source, target)
    assert (target["a"], target.record("a").revision, target["other"]) == ([2], 2, 1)


def test_one_namespace(source: Store[Any], target: Store[Any]) -> None:
    assert store.copy(source, target, namespace="users").records == 1
    assert target.namespaces() == ["users"]
    assert store.copy(source, target, namespace="nobody") == Copied(0, 0, 0)


def test_by_paths_with_a_key_of_their_own(path: Path) -> None:
    one, other = path.with_name("one.db"), path.with_name("other.db")
    with Store[Any](one, key=SECRET) as s:
        s["a"] = {1}
    assert store.copy(one, f"sqlite:///{other}", key=SECRET).records == 1
    with Store[Any](other, key=SECRET, trust="own") as s:
        assert s["a"] == {1}
    with pytest.raises(StoreNotFound):
        store.copy(path.with_name("none.db"), other)


def test_from_memory(path: Path) -> None:
    with Store[Any](":memory:") as s:
        s["a"] = bytes(3_000_000)
        store.copy(s, path)
    with Store[Any](path) as s:
        assert s["a"] == bytes(3_000_000)


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*key")
def test_records_of_others_stay_foreign(path: Path) -> None:
    one, other = path.with_name("one.db"), path.with_name("other.db")
    with Store[Any](one, key=OTHER) as s:
        s["a"] = 1
    assert store.copy(one, other, key=SECRET).records == 1
    with Store[Any](other, key=SECRET, trust="own") as s, pytest.raises(Untrusted):
        s["a"]


@pytest.mark.damaged
def test_damaged_record_stays_damaged(source: Store[Any], target: Store[Any], clock: Any) -> None:
    engine = source.opened.engine
    row = source.opened.find("a")
    assert row is not None
    engine.put(row._replace(body=row.body + b"x"))
    store.copy(source, target)
    with pytest.raises((Tampered, Corrupt)):
        target["a"]
    assert target["last"] == "last"


def test_refuses_what_makes_no_sense(source: Store[Any], path: Path) -> None:
    for place in (source, source.location):
        with pytest.raises(ValueError, match="the same store"):
            store.copy(source, place)
    with pytest.raises(TypeError, match="location"):
        store.copy(source, 5)  # type: ignore[arg-type]
    source.close()
    with pytest.raises(store.StoreClosed):
        store.copy(source, path)


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*key")
def test_large_value_of_another_does_not_go_into_memory(path: Path) -> None:
    with Store[Any](path, key=OTHER, spill_bytes=1000) as s:
        s["a"] = bytes(5000)
    with (
        Store[Any](path, key=SECRET) as s,
        Store[Any](":memory:", key=SECRET) as target,
        pytest.raises(StorageError, match="memory"),
    ):
        store.copy(s, target)


def test_written_back_values_are_copied_and_forgotten(place: str) -> None:
    with Store[Any](place, writeback=True) as s, Store[Any](":memory:", writeback=True) as target:
        s["a"] = []
        s["a"].append(1)
        target["a"] = ["old"]
        assert target["a"] == ["old"]
        store.copy(s, target)
        assert target["a"] == [1]
