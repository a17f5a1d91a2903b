"""Callbacks for settings that change: which, when, in which thread, and how they end. No test waits for the clock."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import itertools
import os
import signal
import threading

import pytest
from away import away
from preferences import Prefs, Window

from store import Store, settings
from store.errors import StorageError, StoreError
from store.settings import Settings, changes

BOUND_SECONDS = 30
SOON = 0.001


@pytest.fixture
def prefs(place):
    with Settings(Prefs, place, interval=SOON) as prefs:
        yield prefs


@pytest.fixture
def other(place):
    with Settings(Prefs, place) as other:
        yield other


class Looks:
    """Knows when changes were seen, by two fields of its own."""

    def __init__(self, prefs, other):
        self.other = other
        self.seen, self.entered, self.left = threading.Semaphore(0), threading.Event(), threading.Event()
        self.widths, self.beeps = itertools.count(1), itertools.cycle([False, True])
        settings.on_change(prefs, "window", lambda old, new: self.seen.release())
        settings.on_change(prefs, "beep", lambda old, new: (self.entered.set(), self.left.wait(BOUND_SECONDS)))

    def wait(self):
        """Waits until all changes that were made so far have been seen: "window" is the last in the order of names.

        A field is read when its turn comes, and one look may have found several changes: "window" may be told while
        earlier changes are still to come. It is told at most once for each of these; once more, and all were seen.
        """
        for _ in range(len(dataclasses.fields(Prefs)) + 1):
            self.other.window = Window(next(self.widths))
            assert self.seen.acquire(timeout=BOUND_SECONDS)

    @contextlib.contextmanager
    def none(self):
        """Keeps the thread from looking."""
        self.entered.clear()
        self.left.clear()
        self.other.beep = next(self.beeps)
        assert self.entered.wait(BOUND_SECONDS)
        try:
            yield
        finally:
            self.left.set()


@pytest.fixture
def looks(prefs, other):
    return Looks(prefs, other)


@pytest.fixture
def reported(monkeypatch):
    found = []
    monkeypatch.setattr(threading, "excepthook", lambda args: found.append(repr(args.exc_value)))
    return found


def watching():
    return [thread for thread in threading.enumerate() if thread.name == "store-settings"]


def test_change_by_another_is_told_with_old_and_new(prefs, other, looks):
    told = []
    settings.on_change(prefs, "theme", lambda old, new: told.append((old, new, threading.current_thread().name)))
    looks.wait()
    assert told == []
    other.theme = "light"
    other.font_size = 20
    looks.wait()
    assert told == [("dark", "light", "store-settings")]
    looks.wait()
    assert len(told) == 1


def test_change_of_its_own_is_told_too(prefs, looks):
    told = []
    settings.on_change(prefs, "theme", lambda *change: told.append(change))
    prefs.theme = "light"
    looks.wait()
    assert told == [("dark", "light")]


def test_reset_is_a_change_to_the_default(prefs, other, looks):
    other.theme = "light"
    told = []
    settings.on_change(prefs, "theme", lambda *change: told.append(change))
    settings.reset(other, "theme")
    looks.wait()
    assert told == [("light", "dark")]


def test_changes_between_two_looks_are_one(prefs, other, looks):
    told = []
    settings.on_change(prefs, "theme", lambda *change: told.append(change))
    with looks.none():
        for theme in ("a", "b", "c"):
            other.theme = theme
    looks.wait()
    assert told == [("dark", "c")]
    with looks.none():
        other.theme = "d"
        other.theme = "c"
    looks.wait()
    assert told == [("dark", "c")]  # nothing that could be seen


def test_record_that_was_made_anew_is_a_change(prefs, other, looks):
    other.theme = "a"
    told = []
    settings.on_change(prefs, "theme", lambda *change: told.append(change))
    with looks.none():
        settings.reset(other, "theme")
        other.theme = "b"  # the revision is 1 again
    looks.wait()
    assert told == [("a", "b")]


def test_change_of_a_list_is_told(prefs, other, looks):
    told = []
    settings.on_change(prefs, "recent", lambda *change: told.append(change))
    other.recent = ["x"]
    looks.wait()
    with settings.edit(other, "recent") as recent:
        recent.append("y")
    looks.wait()
    assert told == [([], ["x"]), (["x"], ["x", "y"])]


def test_callback_that_raises_is_reported_and_the_next_change_is_told(prefs, other, looks, reported):
    told = []

    def fails(old, new):
        raise ZeroDivisionError(new)

    settings.on_change(prefs, "theme", fails)
    settings.on_change(prefs, "theme", lambda old, new: told.append(new))
    for theme in ("a", "b"):
        other.theme = theme
        looks.wait()
    assert told == ["a", "b"]
    assert reported == ["ZeroDivisionError('a')", "ZeroDivisionError('b')"]


def test_stop_ends_one_callback_and_the_thread_ends_with_the_last(prefs, other):
    assert watching() == []
    first, second, told = [], [], threading.Event()
    one = settings.on_change(prefs, "theme", lambda *change: first.append(change))
    with settings.on_change(prefs, "theme", lambda *change: (second.append(change), told.set())):
        (thread,) = watching()
        one.stop()
        one.stop()
        other.theme = "light"
        assert told.wait(BOUND_SECONDS)
        assert (first, second) == ([], [("dark", "light")])
    thread.join(BOUND_SECONDS)  # `stop` does not wait for it
    assert watching() == []
    settings.on_change(prefs, "theme", lambda *change: first.append(change))
    assert len(watching()) == 1
    settings.close(prefs)
    assert watching() == []


def test_callback_may_stop_itself_and_close(prefs, other):
    told = threading.Event()

    def once(old, new):
        handle.stop()
        settings.close(prefs)
        told.set()

    handle = settings.on_change(prefs, "theme", once)
    (thread,) = watching()
    other.theme = "light"
    assert told.wait(BOUND_SECONDS)
    thread.join(BOUND_SECONDS)
    assert not thread.is_alive()


def test_callback_may_write(prefs, other, looks):
    settings.on_change(prefs, "theme", lambda old, new: setattr(prefs, "font_size", len(new)))
    told = []
    settings.on_change(prefs, "font_size", lambda *change: told.append(change))
    other.theme = "light"
    looks.wait()
    looks.wait()
    assert other.font_size == 5
    assert told == [(14, 5)]


def test_variable_that_wins_hides_changes(place, monkeypatch, other):
    monkeypatch.setenv("X_THEME", "fixed")
    told = []
    with Settings(Prefs, place, env_prefix="X_", interval=SOON) as prefs:
        looks = Looks(prefs, other)
        settings.on_change(prefs, "theme", lambda *change: told.append(change))
        other.theme = "light"
        looks.wait()
        monkeypatch.delenv("X_THEME")
        other.theme = "sepia"
        looks.wait()
    assert told == [("fixed", "sepia")]


@pytest.mark.filterwarnings("ignore:.*sealed with a key")
def test_record_that_cannot_be_read_is_reported_once_and_the_rest_goes_on(place, prefs, other, looks, reported):
    told = []
    settings.on_change(prefs, "theme", lambda *change: told.append(change))
    settings.on_change(prefs, "font_size", lambda *change: told.append(change))
    with Store(place, namespace="settings", key="the key of others") as theirs:
        theirs.put("theme", print, codec="pickle")
    other.font_size = 20
    looks.wait()
    looks.wait()
    assert told == [(14, 20)]
    assert len(reported) == 1 and "theme" in reported[0] and reported[0].startswith("Untrusted(")
    other.theme = "sepia"
    looks.wait()
    assert told[1:] == [("dark", "sepia")]


def test_store_that_is_gone_is_reported_and_ends_the_thread(place, prefs, looks, reported):
    looks.wait()
    (thread,) = watching()
    with away(place):
        thread.join(BOUND_SECONDS)
        assert not thread.is_alive()
    assert len(reported) == 1 and reported[0].startswith("StorageError(")


def test_field_that_cannot_be_read_once_is_read_again_and_nothing_is_reported(prefs, other, looks, reported, monkeypatch):
    told, fails = [], itertools.chain([True], itertools.repeat(False))
    settings.on_change(prefs, "theme", lambda old, new: told.append((old, new)))
    looks.wait()
    failing_once(monkeypatch, fails)
    other.theme = "light"
    looks.wait()
    looks.wait()
    assert told == [("dark", "light")] and reported == []


def test_field_that_cannot_be_read_twice_is_reported_once(prefs, other, looks, reported, monkeypatch):
    told, fails = [], itertools.chain([True] * 4, itertools.repeat(False))
    settings.on_change(prefs, "theme", lambda old, new: told.append((old, new)))
    looks.wait()
    failing_once(monkeypatch, fails)
    other.theme = "light"
    for _ in range(6):
        looks.wait()
    assert told == [("dark", "light")]
    assert len(reported) == 1 and reported[0].startswith("StorageError(")


def failing_once(monkeypatch, fails):
    """Has the thread's reads of "theme" fail as often as `fails` says."""
    read = changes.Changes._compare

    def compare(self, field):
        value_of = self._value_of
        if field == "theme" and next(fails):
            self._value_of = refused
        try:
            read(self, field)
        finally:
            self._value_of = value_of

    monkeypatch.setattr(changes.Changes, "_compare", compare)


def refused(field):
    raise StorageError("the disk is away")


def test_callback_after_an_error_has_ended_the_thread(place, prefs, other, looks, reported):
    told = []
    settings.on_change(prefs, "theme", lambda *change: told.append(change))
    looks.wait()
    (thread,) = watching()
    with away(place):
        thread.join(BOUND_SECONDS)
        assert not thread.is_alive() and len(reported) == 1
    other.theme = "light"  # while no thread watches
    settings.on_change(prefs, "font_size", lambda *change: told.append(change))
    other.font_size = 20
    looks.wait()
    assert sorted(told, key=str) == [("dark", "light"), (14, 20)]


def test_interval_is_that_of_the_watch(place, monkeypatch):
    asked, watch = [], Store.watch
    monkeypatch.setattr(Store, "watch", lambda self, **options: asked.append(options) or watch(self, **options))
    with Settings(Prefs, place, interval=7.5) as prefs:
        settings.on_change(prefs, "theme", print)
        settings.on_change(prefs, "font_size", print)
    assert asked == [{"timeout": 7.5, "interval": 7.5}]


def test_stop_and_close_do_not_wait_for_the_interval(place):
    with Settings(Prefs, place, interval=1e6) as prefs:
        with settings.on_change(prefs, "theme", print):
            (thread,) = watching()
        thread.join(BOUND_SECONDS)
        assert not thread.is_alive()
        settings.on_change(prefs, "theme", print)
    assert watching() == []


def test_stop_does_not_wait_for_a_callback_that_runs(prefs, other):
    calling, go_on = threading.Event(), threading.Event()

    def callback(old, new):
        calling.set()
        assert go_on.wait(BOUND_SECONDS)

    handle = settings.on_change(prefs, "theme", callback)
    other.theme = "light"
    assert calling.wait(BOUND_SECONDS)
    handle.stop()  # the callback waits for what comes after it
    go_on.set()
    settings.close(prefs)
    assert watching() == []


def test_callback_that_changes_what_it_is_given_spoils_nothing(prefs, other, looks):
    told = []

    def callback(old, new):
        told.append((list(old), list(new)))
        new.append("mine")

    settings.on_change(prefs, "recent", callback)
    for recent in (["a"], ["a", "mine"], ["b"]):
        other.recent = recent
        looks.wait()
    assert told == [([], ["a"]), (["a"], ["a", "mine"]), (["a", "mine"], ["b"])]


def test_callback_inside_a_transaction_is_refused(place):
    with Store(place) as s, Settings(Prefs, s) as prefs:
        with s.transaction(), pytest.raises(StoreError, match="leave the block first"):
            settings.on_change(prefs, "theme", print)
        assert watching() == []
        settings.on_change(prefs, "theme", print)
        assert len(watching()) == 1


def test_forked_child_begins_with_no_callbacks_and_may_have_its_own(prefs):
    settings.on_change(prefs, "theme", print)
    with prefs.__settings__.changes.lock:  # as the thread may hold it
        child = os.fork()
    if child == 0:
        try:
            told, changes = threading.Event(), []
            settings.on_change(prefs, "theme", lambda *change: (changes.append(change), told.set()))
            prefs.theme = "light"
            told.wait(BOUND_SECONDS)
            settings.close(prefs)
            os._exit(0 if changes == [("dark", "light")] else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(wait_for(child)) == 0


def wait_for(child):
    """Its status, or the child is killed."""
    alarm = threading.Timer(BOUND_SECONDS, os.kill, (child, signal.SIGKILL))
    alarm.start()
    _, status = os.waitpid(child, 0)
    alarm.cancel()
    alarm.join()
    return status


def test_thread_that_cannot_be_started_is_no_raw_error(prefs, other, monkeypatch):
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    told: list[object] = []
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        with pytest.raises(StorageError, match="no thread could be started") as caught:
            settings.on_change(prefs, "theme", lambda *change: told.append("never"))
        assert caught.value.errno == errno.EAGAIN
    settings.on_change(prefs, "theme", lambda *change: told.append(change))  # as if nothing had been
    other.theme = "blue"
    Looks(prefs, other).wait()
    assert len(told) == 1 and told != ["never"]
