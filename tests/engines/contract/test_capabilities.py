"""What an engine may have beside the core; each test is skipped where its engine has it not."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from sealed_rows import KEY, NOW, all_of, body, names, row, stamp

from store.engines.contract import ABSENT, Check, Delete, Fields, Order, Put
from store.engines.registry import is_in_transaction, supported
from store.errors import (
    Conflict,
    Corrupt,
    InUse,
    LockTimeout,
    StorageError,
    StoreClosed,
    StoreError,
    Unsupported,
)  # fmt: skip
from store.rows import spilled
from store.rows.spilled import Part

pytestmark = pytest.mark.damaged  # the rows bear seals that no key made


def in_thread(work: Callable[[], Any]) -> Any:
    """What `work` returns or raises in another thread."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(work())
        except Exception as exc:
            found.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    return found[0]


def test_missing_one_names_engine_and_feature(engine):
    for name in ("transactions", "locks", "changes", "snapshot", "coherence", "blobs", "eviction", "activity", "care"):
        capability = getattr(engine, name)
        if capability is None:
            with pytest.raises(Unsupported, match=engine.kind) as caught:
                supported(capability, engine.kind, name)
            assert (caught.value.engine, caught.value.feature) == (engine.kind, name)
        else:
            assert supported(capability, engine.kind, name) is capability


class TestTransactions:
    @pytest.fixture
    def begin(self, capable) -> Callable[..., Any]:
        return capable("transactions").begin

    def test_all_of_it_or_nothing(self, engine, begin):
        engine.put(row("a"))
        with begin():
            engine.apply("", [row("b"), Delete("a")])
            assert names(engine) == ["b"]
        with pytest.raises(ZeroDivisionError), begin():
            engine.clear("")
            engine.put(row("c"))
            1 / 0
        assert names(engine) == ["b"]

    def test_what_is_read_inside_is_merged(self, engine, begin):
        engine.apply("", [row("b"), row("d", expires=NOW + 9), row("f"), row("gone")])
        with begin():
            engine.apply(
                "", [row("e"), row("a", expires=NOW + 5), row("b", b"new"), Delete("gone"), Delete("f"), row("f")]
            )
            for limit in (1, 2, 256):
                assert names(engine, limit=limit) == ["b", "d", "e", "a", "f"]
                assert names(engine, limit=limit, reverse=True) == ["f", "a", "e", "d", "b"]
                assert names(engine, Order.NAME, limit=limit) == ["a", "b", "d", "e", "f"]
                assert names(engine, Order.NAME, limit=limit, reverse=True, after="e") == ["d", "b", "a"]
                assert names(engine, Order.EXPIRY, limit=limit) == ["a", "d"]
            assert engine.count("", NOW) == (5, NOW + 5) and body(engine, "b") == b"new"
            engine.put(row("x", namespace="other"))
            assert engine.namespaces(NOW) == ["", "other"]
        assert names(engine) == ["b", "d", "e", "a", "f"]

    def test_cursor_goes_on_inside_and_after_it(self, engine, begin):
        engine.apply("", [row(name) for name in "abcd"])
        for order in (Order.INSERTED, Order.NAME):
            page = engine.scan("", order, limit=2)
            with begin():
                engine.put(row("e"))
                page = engine.scan("", order, after=page.next, limit=1)
                assert [item.name for item in page.items] == ["c"]
            assert names(engine, order, after=page.next) == ["d", "e"]
            engine.apply("", [Delete("e")])

    def test_nested_ones_are_undone_by_themselves(self, engine, begin):
        undone, done = [], []
        with begin() as outer:
            engine.put(row("a"))
            outer.on_commit(lambda: done.append("outer"))
            with pytest.raises(ZeroDivisionError), begin() as inner:
                engine.apply("", [row("a", b"2"), row("b"), Delete("a")])
                inner.on_rollback(lambda: undone.append("inner"))
                inner.on_commit(lambda: done.append("inner"))
                1 / 0
            with begin() as inner:
                engine.put(row("c"))
                inner.on_commit(lambda: done.append("kept"))
                assert done == []
        assert names(engine) == ["a", "c"] and body(engine, "a") == b"1"
        assert undone == ["inner"] and sorted(done) == ["kept", "outer"]

    def test_error_of_the_program_restarts_nothing(self, engine, begin):
        error = Conflict("of the program")
        with pytest.raises(Conflict), begin():
            raise error
        assert not engine.transactions.must_restart(error)

    def test_handles_on_one_place_share_them(self, engine, second, begin):
        assert engine.transactions.shared is second.transactions.shared

    def test_several_namespaces(self, engine, begin):
        with begin(scope=(("x", "y"), None)):
            engine.apply("", [row("a", namespace="x"), row("a", namespace="y")])
        assert names(engine, namespace="x") == names(engine, namespace="y") == ["a"]

    def test_claims(self, begin):
        with begin() as outer, begin() as inner:
            assert outer.claim("", "a") and not inner.claim("", "a") and inner.claim("x", "a")

    def test_other_threads_see_nothing_of_it_and_wait_unless_it_is_optimistic(self, engine, begin):
        engine.put(row("a"))
        with begin():
            engine.apply("", [row("a", b"2"), row("b")])
            assert in_thread(lambda: (body(engine, "a"), names(engine), engine.count("", NOW)[0])) == (b"1", ["a"], 1)

            def write() -> None:
                with begin(0.0):
                    pass

            if not engine.transactions.optimistic:
                assert isinstance(in_thread(write), LockTimeout)
        assert in_thread(lambda: names(engine)) == ["a", "b"]

    def test_optimistic_one_is_overtaken(self, engine, begin):
        if not engine.transactions.optimistic:
            pytest.skip(f"the engine {engine.kind} has no optimistic transactions")
        engine.apply("", [row("a"), row("b")])
        with pytest.raises(Conflict) as raised, begin():
            engine.get("", ["a"])
            engine.put(row("b", b"2"))
            assert in_thread(lambda: engine.put(row("a", b"2"))) is None
        assert engine.transactions.must_restart(raised.value) and not engine.transactions.must_restart(Conflict(""))
        assert body(engine, "b") == b"1"

    def test_whether_one_is_open(self, engine, second, begin):
        transactions = engine.transactions
        assert not transactions.is_open() and not is_in_transaction()
        with begin():
            assert transactions.is_open() and is_in_transaction() and not in_thread(is_in_transaction)
            assert second.transactions.is_open() and not transactions.needs_handle()
            second.close()
            assert transactions.needs_handle()
        assert not transactions.needs_handle()

    def test_afterwards(self, engine, begin):
        done = []
        engine.transactions.afterwards(lambda: done.append(1))
        assert done == [1]
        with begin(), begin():
            engine.transactions.afterwards(lambda: done.append(engine.transactions.is_open()))
        assert done == [1, False]

    def test_conflict_inside_changes_nothing_and_goes_on(self, engine, begin):
        with begin():
            engine.put(row("a"))
            with pytest.raises(Conflict):
                engine.apply("", [row("b"), Put(row("a"), ABSENT)])
            assert names(engine) == ["a"]
        assert names(engine) == ["a"]

    def test_is_entered_once(self, begin):
        transaction = begin()
        with transaction:
            pass
        with pytest.raises(StoreError, match="entered once"), transaction:
            pass

    def test_care_and_clear_inside(self, engine, begin, capable):
        care = capable("care")
        with begin():
            engine.put(row("a"))
            assert [found.name for found in care.rows([])] == ["a"]
            if not engine.transactions.optimistic:  # they have one namespace
                engine.load([row("x", namespace="x")])
            engine.clear("")
            assert names(engine) == []
            assert engine.transactions.optimistic or names(engine, namespace="x") == ["x"]
            for call in (lambda: care.compact(None), lambda: care.backup("/nowhere", lambda row: True, None)):
                with pytest.raises(StoreError, match="inside its transaction"):
                    call()


class TestLocks:
    def test_exclude_one_another(self, capable):
        hold = capable("locks").hold
        with hold("job", 1.0):
            with pytest.raises(StoreError, match="holds the lock"), hold("job", 1.0):
                pass
            with hold("other", 1.0):
                pass

            def take() -> None:
                with hold("job", 0.0):
                    pass

            assert isinstance(in_thread(take), LockTimeout)
        assert in_thread(take) is None


    def test_release_says_whether_it_was_kept(self, capable):
        locks = capable("locks")
        first = locks.take("job", 1.0)
        assert first.is_kept() and first.release() is True
        assert not first.is_kept() and first.release() is False
        second = locks.take("job", 0.0)
        assert second.fence is None or second.fence > first.fence
        assert first.release() is False and second.is_kept(), "the first one has nothing to release"
        second.release()


class TestChanges:
    def test_version_changes_with_each_commit(self, engine, second, capable):
        monitor = capable("changes").watch("")
        first = monitor.version()
        assert monitor.version() == first
        second.put(row("a"))
        assert monitor.version() != first
        assert monitor.since(first) in (None, {"a"})
        monitor.wake_by(lambda: None)
        monitor.close()
        with pytest.raises(StoreClosed):
            monitor.version()

    def test_version_of_the_store_changes_with_each_commit_in_any_namespace(self, engine, second, capable):
        monitor = capable("changes").watch_all()
        monitor.wake_by(lambda: None)
        seen = [monitor.version()]
        for change in (
            lambda: second.put(row("a")),
            lambda: second.put(row("a", b"2")),
            lambda: second.put(row("x", namespace="new")),
            lambda: second.apply("new", [row("y", namespace="new"), row("z", namespace="new")]),
            lambda: second.apply("new", [Delete("x")]),
            lambda: second.clear("new"),
            lambda: engine.put(row("b", namespace="one")),
            lambda: engine.apply("", [Delete("a")]),
        ):
            assert monitor.version() == seen[-1], "nothing was committed"
            change()
            seen.append(monitor.version())
            assert seen[-1] != seen[-2]
        engine.get("", ["a"])
        engine.namespaces(NOW)
        assert monitor.version() == seen[-1], "reading is no change"
        monitor.close()
        with pytest.raises(StoreClosed):
            monitor.version()

    def test_version_of_the_store_changes_once_a_transaction_is_committed(self, engine, second, capable):
        begin, monitor = capable("transactions").begin, capable("changes").watch_all()
        second.put(row("a"))
        before = monitor.version()
        with begin(block=True):
            engine.put(row("b"))
            inside = in_thread(monitor.version)
            assert in_thread(monitor.version) == inside
        after = monitor.version()
        assert after not in (before, inside)
        assert monitor.version() == after
        monitor.close()

    def test_version_of_a_store_of_many_namespaces(self, engine, capable):
        for number in range(40):
            engine.put(row("a", namespace=f"n{number}"))
        monitor = capable("changes").watch_all()
        for number in range(0, 40, 13):
            before = monitor.version()
            engine.put(row("b", namespace=f"n{number}"))
            after = monitor.version()
            assert after != before == before and monitor.version() == after
        monitor.close()

    def test_marks_have_those_that_expired_too(self, engine, capable):
        engine.apply("", [row("b", expires=NOW - 1, at=NOW - 2), row("a"), row("c"), row("x", namespace="x")])
        monitor = capable("changes").watch("")
        assert [mark.name for mark in monitor.marks("", None, 10)] == ["a", "b", "c"]
        assert [mark.name for mark in monitor.marks("", "a", 1)] == ["b"]
        assert monitor.marks_of(["c", "no", "a"]) == list(engine.get("", ["a", "c"], Fields.MARK).values())
        assert [header.name for header in monitor.headers(["b", "a"], NOW)] == ["a"]
        monitor.close()

    def test_version_of_a_namespace(self, engine, capable):
        try:
            before = capable("changes").version_of("")
        except Unsupported as exc:
            pytest.skip(str(exc))
        engine.put(row("x", namespace="x"))
        engine.apply("", [Check(None, before), Check("a", ABSENT), row("a")])
        with pytest.raises(Conflict):
            engine.apply("", [Check(None, before), row("b")])
        assert names(engine) == ["a"]


def test_check_expects_and_changes_nothing(engine):
    engine.put(row("a"))
    first = stamp(engine, "a")
    engine.apply("", [Check("a", first), Check("no", ABSENT)])
    assert stamp(engine, "a") == first
    for wrong in (Check("a", ABSENT), Check("no", first), Check("a", "7-00")):
        with pytest.raises(Conflict):
            engine.apply("", [wrong, row("b")])
    assert names(engine) == ["a"]


def test_snapshot(engine, capable):
    engine.apply("", [row(str(number)) for number in range(600)])
    assert [found.name for found in capable("snapshot")("")] == [str(number) for number in range(600)]
    assert engine.snapshot("other") == []
    assert [found.body for found in engine.snapshot("", Fields.SEALED)] == [b"1"] * 600


class TestCare:
    def test_rows_of_all_namespaces(self, engine, capable):
        engine.apply("", [row("a"), row("b", namespace="x", expires=NOW - 1, at=NOW - 2)])
        care, damage = capable("care"), []
        assert [found.name for found in care.rows(damage)] == ["a", "b"]
        assert list(care.unfound(damage)) == [] == damage == care.damage(quick=False) == care.damage(quick=True)
        assert (care.row_count(), care.count_by_key(), care.unread_commits(), care.orphans()) == (2, {KEY: 2}, 0, [])

    def test_reseal_changes_nothing_else(self, engine, capable):
        engine.put(row("a"))
        found = engine.get("", ["a"])["a"]
        other = found._replace(seal=b"another!" + found.seal[8:], crc=7)
        assert not capable("care").reseal(other, other.seal)
        assert capable("care").reseal(other, found.seal)
        assert all_of(engine) == [other] and other.stamp == found.stamp

    def test_forgetting_sealers(self, engine, capable):
        for key in (KEY, b"another!"):
            engine.add_sealer(key)
        capable("care").forget_sealers_but({KEY})
        assert engine.sealers() == {KEY}

    def test_backup_is_a_store_of_the_same_id(self, engine, capable, tmp_path):
        engine.load([row("a")._replace(revision=7), row("b", namespace="x")])
        target, told = str(tmp_path / "backup.db"), []
        copy = capable("care").backup(target, lambda row: True, lambda *done: told.append(done))
        assert copy.records == 2 and told[-1][0] == told[-1][1] >= copy.database_bytes > 0 == copy.file_bytes
        from store.engines.sqlite.backend import open_sqlite

        back = open_sqlite(target, mode="r", timeout=1.0, durability="normal")
        assert back.id == engine.id and back.get("", ["a"])["a"].revision == 7
        back.close()
        engine.put(row("c"))
        assert capable("care").backup(target, lambda row: True, None).records == 3
        assert capable("care").compact(None).files == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_fork_in_a_transaction_leaves_the_parent_its_own(engine, capable):
    begin = capable("transactions").begin
    engine.put(row("a"))
    with begin():
        engine.put(row("b"))
        child = os.fork()
        if child == 0:
            try:
                engine.put(row("child"))
            except StoreError:
                os._exit(7)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert names(engine) == ["a", "b"]


def test_second_task_has_no_part_in_a_transaction(engine, capable):
    import asyncio

    begin = capable("transactions").begin
    engine.put(row("a"))

    async def main() -> None:
        inside, done = asyncio.Event(), asyncio.Event()

        async def first() -> None:
            with begin(block=True):
                engine.put(row("a", b"2"))
                inside.set()
                await done.wait()

        task = asyncio.create_task(first())
        await inside.wait()
        with pytest.raises(InUse):
            engine.put(row("b"))
        assert body(engine, "a") == b"1"
        done.set()
        await task

    asyncio.run(main())
    assert body(engine, "a") == b"2" and names(engine) == ["a"]


class TestBlobs:
    """Values that are too large for a row; `location` and the layers above are in `tests/values`."""

    CONTENTS = (b"x" * 3_000_000, b"", bytes(range(256)))

    @pytest.fixture
    def blobs(self, capable):
        return capable("blobs")

    @pytest.fixture
    def parts(self, blobs):
        text = blobs.write("ns", "a", self.CONTENTS, 5.0)
        yield spilled.parts_of(text, blobs.prefix("ns", "a"))
        blobs.discard(text)

    def test_each_content_is_a_part(self, blobs, parts):
        for part, content in zip(parts, self.CONTENTS, strict=True):
            assert (part.bytes, part.checksum) == (len(content), spilled.checksum(content).hexdigest())
            assert blobs.body(part) == blobs.contents(part) == content
            assert blobs.problem(part, content=True) is None
            for mapped in (True, False):
                view = blobs.buffer(part, mapped=mapped, verify=True)
                assert bytes(view) == content and view.readonly == mapped
        blobs.refuse_hollow(parts)

    def test_discarded_ones_are_missing(self, blobs):
        text = blobs.write("ns", "a", [b"x"], 5.0)
        (part,) = spilled.parts_of(text, blobs.prefix("ns", "a"))
        blobs.discard(text)
        blobs.discard(text)
        assert blobs.contents(part) is None and "is missing" in blobs.problem(part, content=False)
        for read in (blobs.body, lambda part: blobs.buffer(part, mapped=True, verify=False)):
            with pytest.raises(Corrupt, match="is missing") as caught:
                read(part)
            assert caught.value.file

    def test_put_ones_stay_and_go_with_their_row(self, engine, blobs):
        text = blobs.write("", "a", [b"x"], 5.0)
        (part,) = spilled.parts_of(text, blobs.prefix("", "a"))
        engine.put(row("a")._replace(body=b"", spill=text))
        blobs.discard(text)
        assert blobs.body(part) == b"x"
        engine.put(engine.get("", ("a",))["a"]._replace(id=None, expires=5.0))  # it names the same part
        assert blobs.body(part) == b"x"

    def test_restored_under_their_names(self, blobs, parts):
        missing = Part(spilled.new_file(blobs.prefix("ns", "a")), 1, "0" * 64)
        wrong = Part(spilled.new_file(blobs.prefix("ns", "a")), 1, spilled.checksum(b"y").hexdigest())
        contents = [*self.CONTENTS, None, b"x"]
        text = blobs.restore("ns", "a", [*parts, missing, wrong], contents, 5.0)
        assert spilled.parts_of(text, blobs.prefix("ns", "a")) == [*parts, missing, wrong]
        assert blobs.body(parts[0]) == self.CONTENTS[0] and "is missing" in blobs.problem(missing, content=True)
        assert "altered" in blobs.problem(wrong, content=True)  # the content is kept as it is
        assert blobs.contents(wrong) == b"x"
        blobs.discard(text)

    def test_another_part_of_that_name_is_an_error(self, engine, blobs):
        text = blobs.write("", "a", [b"x"], 5.0)
        (part,) = spilled.parts_of(text, blobs.prefix("", "a"))
        engine.put(row("a")._replace(body=b"", spill=text))
        with pytest.raises(StorageError) as caught:
            blobs.restore("", "a", [part._replace(checksum="0" * 64)], [b"other"], 5.0)
        assert caught.value.errno == errno.EEXIST and blobs.body(part) == b"x"

    def test_deleted_and_loaded_again_in_one_transaction_they_stay(self, engine, blobs, capable):
        text = blobs.write("", "a", [b"x"], 5.0)
        (part,) = spilled.parts_of(text, blobs.prefix("", "a"))
        engine.put(row("a")._replace(body=b"", spill=text))
        kept = engine.get("", ("a",))["a"]
        with capable("transactions").begin():
            blobs.restore("", "a", [part], [b"x"], 5.0)
            engine.apply("", [Delete("a")])
            engine.load([kept._replace(id=None)])
        assert blobs.body(part) == b"x"
