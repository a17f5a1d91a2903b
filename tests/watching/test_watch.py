"""`Store.watch`: what is told, when, and how it ends. Waiting is simulated: what happens meanwhile is a function."""

from __future__ import annotations

import gc
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from weakref import ref

import pytest
from away import away

import store.watching.changes
from store import Store
from store.engines.contract import Fields
from store.engines.sqlite import statements as sql
from store.errors import LockTimeout, NotSerializable, ReadOnly, StorageError, StoreClosed, StoreError
from store.watching.changes import Change
from store.watching.watch import Watch

JOIN_SECONDS = 60

WRITER = """
    import sys
    from store import Store
    with Store(sys.argv[1]) as s:
        with s.transaction():
            del s["a"]
            s["c"] = 1
            print("inside", flush=True)
            input()
        print("committed", flush=True)
    """


class Waits:
    """Each wait of a watcher takes no time: the clock goes on, and the next of `steps` happens."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.now = 0.0
        self.lengths: list[float] = []
        self.steps: deque[Callable[[], object]] = deque()

    def wait(self, seconds: float) -> None:
        assert len(self.lengths) < 10_000, "it would wait for ever"
        self.lengths.append(seconds)
        self.now += seconds
        self.clock.advance(seconds)
        if self.steps:
            self.steps.popleft()()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch, clock: Any) -> Waits:
    simulated = Waits(clock)
    monkeypatch.setattr(Watch, "_wait", lambda _, seconds: simulated.wait(seconds))
    monkeypatch.setattr(store.watching.watch, "steady_clock", lambda: simulated.now)
    return simulated


def recorded(watch: Watch[Any], monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What the watch asks its monitor from now on: each question, and the names that it is about."""
    questions: list[tuple[str, ...]] = []

    def recording(how: str, question: Callable[..., Any]) -> Callable[..., Any]:
        def ask(*args: Any) -> Any:
            questions.append((how, *(args[0] if how in ("marks_of", "headers") else ())))
            return question(*args)

        return ask

    for how in ("version", "since", "marks", "marks_of", "headers"):
        monkeypatch.setattr(watch._monitor, how, recording(how, getattr(watch._monitor, how)))
    return questions


def told(watch: Watch[Any]) -> list[tuple[str, str]]:
    return [(change.kind, change.name) for change in watch]


class TestChanges:
    def test_are_told_in_the_order_of_names(self, s: Store[Any]) -> None:
        s.update(b=1, d=1)
        with s.watch(timeout=0) as changes:
            s.update(c=1, a=1, b=2)
            del s["d"]
            assert told(changes) == [("set", "a"), ("set", "b"), ("set", "c"), ("deleted", "d")]
            assert told(changes) == []

    def test_carry_namespace_and_record(self, s: Store[Any]) -> None:
        inner = s.within("inner")
        with inner, inner.watch(timeout=0) as changes:
            inner["a"] = 1
            s["a"] = "of another namespace"
            (change,) = changes
            assert change == Change("set", "a", "inner", inner.record("a"))
            del inner["a"]
            assert list(changes) == [Change("deleted", "a", "inner", None)]

    def test_begin_with_the_call(self, s: Store[Any]) -> None:
        s["before"] = 1
        changes = s.watch(timeout=0)
        s["after"] = 1
        assert told(changes) == [("set", "after")]

    def test_several_writes_are_one_change(self, s: Store[Any]) -> None:
        with s.watch(timeout=0) as changes:
            for value in range(5):
                s["a"] = value
            (change,) = changes
            assert change.record is not None
            assert (change.kind, change.record.revision) == ("set", 5)
            s["new"] = 1
            del s["new"]
            assert told(changes) == []

    def test_deleted_and_written_again_is_set(self, s: Store[Any]) -> None:
        s["a"] = 1
        before = s.record("a")
        with s.watch(timeout=0) as changes:
            del s["a"]
            s["a"] = 2
            assert s.record("a").created == before.created  # the clock stands still
            assert told(changes) == [("set", "a")]

    def test_of_names_alone(self, s: Store[Any]) -> None:
        s["b"] = 1
        with s.watch(["b", "a", "a"], timeout=0) as changes:
            s.update(a=1, c=1)
            assert told(changes) == [("set", "a")]
            s.clear()
            assert told(changes) == [("deleted", "a"), ("deleted", "b")]

    def test_of_a_prefix_alone(self, s: Store[Any]) -> None:
        with s.watch(prefix="user:", timeout=0) as changes:
            s.update({"user:1": 1, "user": 1, "user;": 1, "users": 1, "user:\U0010ffff": 1})
            assert told(changes) == [("set", "user:1"), ("set", "user:\U0010ffff")]

    @pytest.mark.parametrize("how", ["all", "names"])
    def test_over_many_pages(self, s: Store[Any], monkeypatch: pytest.MonkeyPatch, how: str) -> None:
        monkeypatch.setattr(store.watching.changes, "PAGE_MARKS", 7)
        names = [f"n{number:03}" for number in range(50)]
        with s.watch(names if how == "names" else None, timeout=0) as changes:
            s.update(dict.fromkeys(names, 1))
            assert told(changes) == [("set", name) for name in names]
            del s["n013"], s["n014"]
            s["n049"] = 2
            assert told(changes) == [("deleted", "n013"), ("deleted", "n014"), ("set", "n049")]

    def test_of_this_thread_and_of_others(self, s: Store[Any]) -> None:
        with s.watch(timeout=0) as changes:
            s["mine"] = 1
            with s.transaction():
                s["mine too"] = 1
            thread = threading.Thread(target=s.update, args=({"its": 1},))
            thread.start()
            thread.join(JOIN_SECONDS)
            assert told(changes) == [("set", "its"), ("set", "mine"), ("set", "mine too")]

    def test_rolled_back_are_none(self, s: Store[Any]) -> None:
        with s.watch(timeout=0) as changes:
            with pytest.raises(RuntimeError), s.transaction():
                s["a"] = 1
                raise RuntimeError
            assert told(changes) == []

    def test_several_watchers_see_each_change(self, s: Store[Any]) -> None:
        with s.watch(timeout=0) as one, s.watch(prefix="a", timeout=0) as other:
            s.update(a=1, b=1)
            assert told(one) == [("set", "a"), ("set", "b")]
            assert told(other) == [("set", "a")]

    @pytest.mark.slow
    def test_of_another_process(self, place: str, start: Any) -> None:
        with Store[Any](place) as s, s.watch(timeout=0) as changes:
            s.update(a=1, b=1)
            assert told(changes) == [("set", "a"), ("set", "b")]
            writer = start(WRITER, place)
            assert writer.hear() == "inside"
            assert told(changes) == []  # not committed yet
            writer.say()
            assert writer.hear() == "committed"
            assert told(changes) == [("deleted", "a"), ("set", "c")]

    def test_of_other_programs(self, path: Path) -> None:
        with Store[Any](path) as s, closing(sqlite3.connect(path)) as conn, s.watch(timeout=0) as changes:
            s.update(a=1, b=1)
            assert len(told(changes)) == 2
            conn.execute("DELETE FROM records WHERE name = 'a'")
            assert told(changes) == []  # not committed yet
            conn.commit()
            assert told(changes) == [("deleted", "a")]

    def test_commit_between_the_question_and_the_answer_is_not_lost(
        self, s: Store[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with s.watch(timeout=0) as changes:
            monitor = changes._monitor
            reads = {"marks": monitor.marks, "marks_of": monitor.marks_of}
            headers = monitor.headers

            def marks_late(how: str, *args: Any) -> Any:
                found = reads[how](*args)
                s["late"] = 1
                return found

            def headers_late(*args: Any) -> Any:
                s.pop("short", None)
                return headers(*args)

            for how in reads:
                monkeypatch.setattr(monitor, how, partial(marks_late, how))
            monkeypatch.setattr(changes._monitor, "headers", headers_late)
            s.update(a=1, short=1)
            assert next(changes).name == "a"
            monkeypatch.undo()
            assert "late" in [name for _, name in told(changes)]
            assert told(changes) == []  # and not a word of "short", which came and went

    @pytest.fixture
    def deleting(self, s: Store[Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch[Any]]:
        """A watch during each of whose looks the record `a` is deleted."""
        s["a"] = 1
        with s.watch(timeout=0) as changes:
            headers = changes._monitor.headers

            def headers_late(*args: Any) -> Any:
                del s["a"]
                return headers(*args)

            monkeypatch.setattr(changes._monitor, "headers", headers_late)
            yield changes

    def test_record_that_goes_while_it_is_told_is_deleted(self, s: Store[Any], deleting: Watch[Any]) -> None:
        s["a"] = 2
        assert told(deleting) == []  # what it is now nobody can say yet: the next look will
        assert told(deleting) == [("deleted", "a")]

    def test_record_that_goes_while_it_is_told_and_comes_again_is_set(
        self, s: Store[Any], deleting: Watch[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        del s["a"]
        s["a"] = 2
        assert told(deleting) == []
        monkeypatch.undo()
        s["a"] = 2  # the same as what was about to be told: the clock stands still
        assert told(deleting) == [("set", "a")]


class TestExpiry:
    def test_is_told_on_time_without_a_commit(self, s: Store[Any], waits: Waits) -> None:
        s.put("a", 1, ttl=0.125)
        s.put("b", 1, ttl=10)
        s.put("c", 1, ttl=10)
        with s.watch(timeout=20) as changes:
            assert next(changes) == Change("expired", "a", "", None)
            assert waits.now == pytest.approx(0.125)
            assert waits.lengths[-1] < store.watching.watch.INTERVAL_SECONDS
            assert told(changes) == [("expired", "b"), ("expired", "c")]
            assert waits.now == pytest.approx(30)  # and 20 seconds without a change

    def test_of_a_record_that_came_later(self, s: Store[Any], waits: Waits) -> None:
        with s.watch(timeout=3) as changes:
            s.put("a", 1, ttl=2)
            assert told(changes) == [("set", "a"), ("expired", "a")]

    def test_of_one_that_was_touched(self, s: Store[Any], waits: Waits) -> None:
        s["a"] = 1
        with s.watch(timeout=0) as changes:
            s.touch("a", 5)
            waits.clock.advance(6)
            assert told(changes) == [("expired", "a")]

    @pytest.mark.parametrize("forget", [Store.purge, Store.clear])
    def test_of_one_that_is_cleaned_away(self, s: Store[Any], waits: Waits, forget: Callable[..., Any]) -> None:
        s.put("a", 1, ttl=5)
        s["b"] = 1
        with s.watch(["a"], timeout=0) as changes:
            waits.clock.advance(6)
            forget(s)
            assert told(changes) == [("expired", "a")]

    def test_is_not_told_of_what_lives_on(self, s: Store[Any], waits: Waits) -> None:
        s.put("a", 1, ttl=5)
        with s.watch(timeout=0) as changes:
            s.touch("a", None)
            waits.clock.advance(6)
            assert told(changes) == [("set", "a")]
            waits.clock.advance(60)
            assert told(changes) == []

    def test_name_that_is_written_after_it_is_set(self, s: Store[Any], waits: Waits) -> None:
        s.put("a", 1, ttl=5)
        with s.watch(timeout=0) as changes:
            waits.clock.advance(6)
            s["a"] = 1
            assert told(changes) == [("set", "a")]

    def test_of_what_was_gone_before_is_not_told(self, s: Store[Any], waits: Waits) -> None:
        s.put("a", 1, ttl=5)
        waits.clock.advance(6)
        with s.watch(timeout=0) as changes:
            s["b"] = 1
            assert told(changes) == [("set", "b")]


class TestWaiting:
    def test_ends_after_so_many_seconds_without_a_change(self, s: Store[Any], waits: Waits) -> None:
        waits.steps += [lambda: None] * 99 + [lambda: s.update(a=1)]  # 100 waits of 0.05 s
        assert told(s.watch(timeout=7)) == [("set", "a")]
        assert waits.now == pytest.approx(12)

    def test_another_for_goes_on(self, s: Store[Any], waits: Waits) -> None:
        with s.watch(timeout=1) as changes:
            assert told(changes) == []
            s["a"] = 1
            assert told(changes) == [("set", "a")]

    def test_lasts_as_long_as_it_is_told(self, s: Store[Any], waits: Waits) -> None:
        told(s.watch(timeout=1, interval=0.25))
        assert waits.lengths == [0.25] * 4

    def test_asks_for_the_version_alone_while_nothing_happens(
        self, s: Store[Any], waits: Waits, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        s.update({f"n{number}": number for number in range(1000)})
        s.put("b", 1, ttl=3600)
        with s.watch(timeout=60) as changes:
            questions = recorded(changes, monkeypatch)
            assert told(changes) == []
        assert questions == [("version",)] * (len(waits.lengths) + 1)
        assert len(waits.lengths) == pytest.approx(60 / store.watching.watch.INTERVAL_SECONDS, abs=2)

    def test_asks_one_short_question_at_a_time(self, path: Path, clock: Any, waits: Waits) -> None:
        """At 20 looks a second: the cost of watching a store where nothing happens."""
        statements: list[str] = []
        with Store[Any](path, clock=clock) as s:
            s.update({f"n{number}": number for number in range(1000)})
            s.put("b", 1, ttl=3600)
            with s.watch(timeout=60) as changes:
                changes._monitor._slot.conn.set_trace_callback(statements.append)  # type: ignore[attr-defined]
                s.opened.engine.handle.engine.connection().conn.set_trace_callback(statements.append)  # type: ignore[attr-defined]
                assert told(changes) == []
                s.opened.engine.handle.engine.connection().conn.set_trace_callback(None)  # type: ignore[attr-defined]
        assert statements == ["PRAGMA data_version"] * len(waits.lengths) + ["PRAGMA data_version"]
        assert len(waits.lengths) == pytest.approx(60 / store.watching.watch.INTERVAL_SECONDS, abs=2)

    def test_rests_after_a_long_comparison(
        self, s: Store[Any], waits: Waits, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with s.watch(["a"], timeout=100) as changes:
            if changes._monitor.since(changes._monitor.version()) is not None:
                pytest.skip("this engine knows what has changed, and compares nothing else")
            marks_of = changes._monitor.marks_of

            def slow(names: Any) -> Any:
                waits.now += 1
                return marks_of(names)

            monkeypatch.setattr(changes._monitor, "marks_of", slow)
            s["b"] = 1
            told(changes)
        assert waits.lengths[0] == store.watching.watch.REST
        assert waits.lengths[1] == store.watching.watch.INTERVAL_SECONDS

    def test_asks_for_the_names_alone(self, s: Store[Any], monkeypatch: pytest.MonkeyPatch) -> None:
        s["d"] = 1
        with s.watch(["a", "b"], timeout=0) as changes:
            questions = recorded(changes, monkeypatch)
            s["c"] = 1
            assert told(changes) == []
        assert {name for how, *names in questions if how == "marks_of" for name in names} <= {"a", "b"}
        assert {how for how, *_ in questions} <= {"version", "since", "marks_of"}

    def test_looks_up_only_the_names(self, path: Path) -> None:
        statements: list[str] = []
        with Store[Any](path) as s, s.watch(["a", "b"], timeout=0) as changes:
            changes._monitor._slot.conn.set_trace_callback(statements.append)  # type: ignore[attr-defined]
            s["c"] = 1
            assert told(changes) == []
        assert statements[0] == "PRAGMA data_version"
        assert len(statements) == 2 and "name IN ('a', 'b')" in statements[1]

    @pytest.mark.parametrize(
        "statement",
        [
            sql.NAME_PAGES[Fields.MARK, False, False],
            sql.NAME_PAGES[Fields.MARK, True, False],
            sql.FIND_ALL[Fields.MARK].format("?, ?"),
        ],
    )
    def test_finds_records_by_the_index(self, path: Path, statement: str) -> None:
        with Store[Any](path), closing(sqlite3.connect(path)) as conn:
            plan = [row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {statement}", [0] * statement.count("?"))]
        assert len(plan) == 1
        assert "sqlite_autoindex_records_1 (namespace=? AND name" in plan[0]


class TestAlarm:
    """An engine that is notified of commits ends the pause between two looks."""

    def test_ends_the_pause(self, s: Store[Any]) -> None:
        found: list[str] = []
        with s.watch(interval=3600) as changes:
            waiting, wait = threading.Event(), changes._wake.wait
            changes._wake.wait = lambda seconds=None: (waiting.set(), wait(seconds))[1]  # type: ignore[method-assign]
            thread = threading.Thread(target=lambda: found.append(next(changes).name))
            thread.start()
            assert waiting.wait(JOIN_SECONDS)
            s["a"] = 1
            changes._alarm.ring()
            thread.join(JOIN_SECONDS)
        assert found == ["a"]

    def test_does_not_end_the_rest_after_a_long_comparison(self, s: Store[Any]) -> None:
        with s.watch() as changes:
            waits: list[float] = []

            def rung(seconds: float) -> bool:
                waits.append(seconds)
                if len(waits) == 4:
                    changes._rested = 0.0
                return True

            changes._wake.wait = rung  # type: ignore[method-assign,assignment]
            changes._rested = store.watching.watch.steady_clock() + 3600
            changes._wait(5.0)
        assert waits[0] == 5.0 and len(waits) == 4 and min(waits[1:]) > 3000

    def test_keeps_no_watch_alive(self, s: Store[Any]) -> None:
        changes = s.watch()
        ring, gone = changes._alarm.ring, ref(changes)
        del changes
        gc.collect()
        assert gone() is None
        ring()


class TestBusy:
    """What keeps the database locked is waited for, and is an error when it lasts."""

    def test_transaction_of_another_thread_in_memory(self, clock: Any, waits: Waits) -> None:
        inside, leave = threading.Event(), threading.Event()
        with Store[Any](":memory:", clock=clock, timeout=5) as s:

            def write() -> None:
                with s.transaction():
                    s["a"] = 1
                    inside.set()
                    assert leave.wait(JOIN_SECONDS)

            thread = threading.Thread(target=write)
            with s.watch(timeout=60) as changes:
                thread.start()
                assert inside.wait(JOIN_SECONDS)
                assert s.get("a") is None  # nothing of it is seen, and nobody waits
                waits.steps += [lambda: None, leave.set, lambda: thread.join(JOIN_SECONDS)]
                assert next(changes).name == "a"
                assert not thread.is_alive()

    def test_call_waits_for_its_beginning(self, s: Store[Any], waits: Waits, monkeypatch: pytest.MonkeyPatch) -> None:
        watch, calls = s.opened.engine.changes.watch, iter([LockTimeout("busy"), LockTimeout("busy")])

        def busy_at_first(namespace: str) -> Any:
            monitor = watch(namespace)
            version = monitor.version

            def busy() -> object:
                for error in calls:
                    raise error
                return version()

            monitor.version = busy  # type: ignore[method-assign]
            return monitor

        monkeypatch.setattr(s.opened.engine.changes, "watch", busy_at_first)
        with s.watch(timeout=0) as changes:
            assert len(waits.lengths) == 2
            s["a"] = 1
            assert told(changes) == [("set", "a")]


class TestEnd:
    def test_break_and_close_free_everything(self, path: Path) -> None:
        with Store[Any](path) as s:
            engine = s.opened.engine.handle.engine  # type: ignore[attr-defined]
            s["a"] = 1
            s.watch().close()  # SQLite keeps one descriptor for the next connection
            before = len(engine.pool.all()), len(os.listdir("/proc/self/fd"))
            for _ in range(3):
                for end in (Watch.close, lambda watch: watch.__exit__(None, None, None), lambda watch: None):
                    changes = s.watch()
                    s["a"] = 1
                    for _ in changes:
                        break
                    end(changes)
                    del changes
                    assert (len(engine.pool.all()), len(os.listdir("/proc/self/fd"))) == before
            assert list(s.opened.listeners.values()) == []

    def test_closed_watcher_is_at_its_end(self, s: Store[Any]) -> None:
        changes = s.watch()
        s["a"] = 1
        changes.close()
        changes.close()
        assert told(changes) == []

    @pytest.mark.parametrize("how", ["alone", "shared"])
    def test_closing_the_store_wakes_and_raises(self, location: str, how: str) -> None:
        s = Store[Any](location)
        other = s.within("other") if how == "shared" else None  # its engine stays open
        error, waiting = _watch_in_a_thread(s)
        s.close()
        assert isinstance(error(), StoreClosed)
        with pytest.raises(StoreClosed):
            next(waiting)
        with pytest.raises(StoreClosed):
            s.watch()
        if other is not None:
            with other.watch(timeout=0) as changes:
                assert told(changes) == []
            other.close()

    def test_closing_the_store_wakes_also_where_writing_back_fails(self, place: str) -> None:
        s = Store[Any](place, writeback=True)
        s["a"] = [1]
        error, _ = _watch_in_a_thread(s)
        s["a"].append(lambda: None)
        with pytest.raises(NotSerializable):
            s.close()
        assert isinstance(error(), StoreClosed)

    def test_close_by_another_thread_ends_the_iteration(self, s: Store[Any]) -> None:
        error, waiting = _watch_in_a_thread(s)
        waiting.close()
        assert isinstance(error(), StopIteration)

    def test_close_just_before_a_look_is_the_end(self, s: Store[Any], monkeypatch: pytest.MonkeyPatch) -> None:
        changes = s.watch()
        version = changes._monitor.version
        monkeypatch.setattr(changes._monitor, "version", lambda: (changes.close(), version()))
        s["a"] = 1
        assert told(changes) == []  # and `nothing_leaks` finds no connection that was opened again

    def test_close_just_before_a_look_opens_nothing_again(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with Store[Any](path) as s:
            changes = s.watch()
            check = changes._monitor._check  # type: ignore[attr-defined]
            monkeypatch.setattr(changes._monitor, "_check", lambda: (check(), changes.close()))
            assert told(changes) == []
            assert changes._monitor._slot.conn is None  # type: ignore[attr-defined]

    def test_store_that_is_taken_away_is_an_error(self, place: str, waits: Waits) -> None:
        with Store[Any](place) as s, s.watch(timeout=60) as changes:
            s["a"] = 1
            assert next(changes).name == "a"
            with away(place):
                for _ in range(2):
                    with pytest.raises(StorageError, match=r"(was|were) deleted"):
                        next(changes)

    @pytest.mark.damaged
    @pytest.mark.parametrize("how", ["deleted", "replaced", "folder"])
    def test_file_that_is_taken_away_is_an_error(self, tmp_path: Path, waits: Waits, how: str) -> None:
        folder = tmp_path / "folder"
        folder.mkdir()
        path = folder / "app.db"
        moved = (folder, tmp_path / "gone") if how == "folder" else (path, tmp_path / "gone")
        with Store[Any](path) as s, s.watch(timeout=60) as changes:
            s["a"] = 1
            assert next(changes).name == "a"
            waits.steps.append(lambda: (os.rename(*moved), how == "replaced" and path.write_bytes(b"")))
            with pytest.raises(StorageError, match="replaced" if how == "replaced" else "deleted"):
                next(changes)
            with pytest.raises(StorageError):
                next(changes)

    def test_object_that_is_dropped_with_its_store(self, place: str) -> None:
        s = Store[Any](place)
        changes, listeners = s.watch(), s.opened.listeners
        assert list(listeners.values()) == [changes]
        del s, changes
        gc.collect()
        assert list(listeners.values()) == []  # and `nothing_leaks` finds no connection


def _watch_in_a_thread(s: Store[Any]) -> tuple[Callable[[], BaseException], Watch[Any]]:
    """A watcher that waits for an hour at a time, in a thread; and the error that ends it."""
    waiting, errors = threading.Event(), []
    changes = s.watch(interval=3600)
    wait = changes._wake.wait

    def wait_and_tell(seconds: float) -> bool:
        waiting.set()
        return wait(seconds)

    changes._wake.wait = wait_and_tell  # type: ignore[method-assign]

    def watch() -> None:
        try:
            next(changes)
        except BaseException as exc:
            errors.append(exc)

    thread = threading.Thread(target=watch)
    thread.start()
    assert waiting.wait(JOIN_SECONDS)

    def error() -> BaseException:
        thread.join(JOIN_SECONDS)
        assert not thread.is_alive()
        (found,) = errors
        return found

    return error, changes


class TestWhere:
    def test_reader_watches_a_writer(self, place: str) -> None:
        with Store[Any](place) as s, Store[Any](place, mode="r") as reader, reader.watch(timeout=0) as changes:
            s["a"] = 1
            assert told(changes) == [("set", "a")]
            with pytest.raises(ReadOnly):
                reader["a"] = 1

    def test_reader_of_a_copy_says_that_it_sees_no_change(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from store.engines.sqlite.opening import connection as sqlite_connection

        Store[Any](path).close()
        look = sqlite_connection.open_and_look

        def refuse(path: str, query: str) -> sqlite3.Connection:
            if query == "mode=ro":
                error = sqlite3.OperationalError("unable to open database file")
                error.sqlite_errorcode = 14
                raise error
            return look(path, query)

        monkeypatch.setattr(sqlite_connection, "open_and_look", refuse)
        with Store[Any](path, mode="r") as s, pytest.raises(StorageError, match="copy"):
            s.watch()

    def test_inside_a_transaction_is_refused(self, s: Store[Any]) -> None:
        with s.watch(timeout=0) as changes:
            with s.transaction():
                with pytest.raises(StoreError, match="transaction"):
                    s.watch()
                with pytest.raises(StoreError, match="transaction"):
                    next(changes)
                s["a"] = 1
            assert told(changes) == [("set", "a")]

    def test_change_of_durability_loses_nothing(self, place: str) -> None:
        with Store[Any](place) as s, s.watch(timeout=0) as changes:
            try:
                other = Store[Any](place, durability="full")  # opens every connection anew
            except StorageError as exc:
                pytest.skip(f"the server promises no more than it does: {exc}")
            with other:
                s["a"] = 1
                assert told(changes) == [("set", "a")]

    def test_thread_that_began_it_may_end(self, s: Store[Any]) -> None:
        made: list[Watch[Any]] = []
        for begin in (lambda: made.append(s.watch(timeout=0)), lambda: s.update(a=1)):
            thread = threading.Thread(target=begin)
            thread.start()
            thread.join(JOIN_SECONDS)
        assert told(made[0]) == [("set", "a")]
        made.clear()

    def test_thread_that_began_it_may_end_and_the_connection_stays(self, path: Path) -> None:
        """The connections of threads that have ended are closed; a watcher's is its own."""
        with Store[Any](path) as s:
            made: list[Watch[Any]] = []
            thread = threading.Thread(target=lambda: made.append(s.watch(timeout=0)))
            thread.start()
            thread.join(JOIN_SECONDS)
            conn = made[0]._monitor._slot.conn  # type: ignore[attr-defined]
            thread = threading.Thread(target=s.update, args=({"a": 1},))
            thread.start()
            thread.join(JOIN_SECONDS)
            assert told(made[0]) == [("set", "a")]
            assert made[0]._monitor._slot.conn is conn  # type: ignore[attr-defined]
            made.clear()


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"names": "a"}, TypeError, r"watch\(\['a'\]\)"),
    ({"names": [1]}, TypeError, "name is a str"),
    ({"names": []}, ValueError, "empty"),
    ({"names": ["a"], "prefix": "b"}, TypeError, "not both"),
    ({"prefix": 1}, TypeError, "prefix is a str"),
    ({"timeout": "1"}, TypeError, "seconds"),
    ({"timeout": -1}, ValueError, "seconds"),
    ({"interval": 0}, ValueError, "above 0"),
    ({"interval": None}, TypeError, "seconds"),
    ({"interval": float("nan")}, ValueError, "above 0"),
]


@pytest.mark.parametrize(("options", "error", "words"), WRONG)
def test_wrong_call_says_so(s: Store[Any], options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        s.watch(**options)
    assert list(s.opened.listeners.values()) == []


def test_repr_says_what_is_watched(s: Store[Any]) -> None:
    with s.watch(prefix="p") as one, s.watch(["a"]) as other:
        assert "prefix='p'" in repr(one) and s.location in repr(one)
        assert "names=['a']" in repr(other)


@pytest.mark.damaged
def test_damaged_metadata_is_an_error(path: Path) -> None:
    with Store[Any](path) as s, s.watch(timeout=0) as changes:
        s.update(a=1, b=1)
        with closing(sqlite3.connect(path)) as conn:
            conn.execute("PRAGMA ignore_check_constraints = ON")
            conn.execute("PRAGMA writable_schema = ON")
            conn.execute("UPDATE sqlite_schema SET sql = replace(sql, ') STRICT', ')') WHERE name = 'records'")
            conn.commit()
        with closing(sqlite3.connect(path)) as conn:
            conn.execute("UPDATE records SET revision = 'many' WHERE name = 'b'")
            conn.commit()
        with pytest.raises(StoreError, match="record 'b'"):
            told(changes)
