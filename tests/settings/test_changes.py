"""Callbacks for settings that change: which, when, in which thread, and how they end. No test waits for the clock."""

from __future__ import annotations

import errno
import os
import signal
import threading

import pytest
from preferences import Prefs

from store import Store, settings
from store.errors import StorageError
from store.settings import Settings

BOUND_SECONDS = 30


class Steps:
    """Lets the watching thread look when a test says so, and tells when it has looked."""

    def __init__(self) -> None:
        self.ending = False
        self.gone, self.idle = threading.Semaphore(0), threading.Semaphore(0)

    def wait(self, seconds: float) -> bool:
        self.idle.release()
        assert self.gone.acquire(timeout=BOUND_SECONDS)
        return self.ending

    def go(self) -> None:
        """Lets it look once, and waits for nothing."""
        self.gone.release()

    def look(self) -> None:
        """One look, from beginning to end."""
        assert self.idle.acquire(timeout=BOUND_SECONDS)
        self.go()
        assert self.idle.acquire(timeout=BOUND_SECONDS)
        self.idle.release()

    def end(self) -> None:
        self.ending = True
        self.go()


@pytest.fixture
def steps():
    return Steps()


@pytest.fixture
def prefs(path, steps):
    with Settings(Prefs, path, wait=steps.wait) as prefs:
        yield prefs
        steps.end()


@pytest.fixture
def other(path):
    with Settings(Prefs, path) as other:
        yield other


@pytest.fixture
def reported(monkeypatch):
    found = []
    monkeypatch.setattr(threading, "excepthook", lambda args: found.append(repr(args.exc_value)))
    return found


def watching():
    return [thread.name for thread in threading.enumerate() if thread.name == "store-settings"]


def test_change_by_another_is_told_with_old_and_new(prefs, other, steps):
    told = []
    settings.on_change(prefs, "theme", lambda old, new: told.append((old, new, threading.current_thread().name)))
    steps.look()
    assert told == []
    other.theme = "light"
    other.font_size = 20
    steps.look()
    assert told == [("dark", "light", "store-settings")]
    steps.look()
    assert len(told) == 1


def test_change_of_its_own_is_told_too(prefs, steps):
    told = []
    settings.on_change(prefs, "theme", lambda *change: told.append(change))
    prefs.theme = "light"
    steps.look()
    assert told == [("dark", "light")]


def test_reset_is_a_change_to_the_default(prefs, other, steps):
    other.theme = "light"
    told = []
    settings.on_change(prefs, "theme", lambda *change: told.append(change))
    settings.reset(other, "theme")
    steps.look()
    assert told == [("light", "dark")]


def test_changes_between_two_looks_are_one(prefs, other, steps):
    told = []
    settings.on_change(prefs, "theme", lambda *change: told.append(change))
    for theme in ("a", "b", "c"):
        other.theme = theme
    steps.look()
    assert told == [("dark", "c")]
    other.theme = "d"
    other.theme = "c"
    steps.look()
    assert told == [("dark", "c")]  # nothing that could be seen


def test_record_that_was_made_anew_is_a_change(prefs, other, steps):
    other.theme = "a"
    told = []
    settings.on_change(prefs, "theme", lambda *change: told.append(change))
    settings.reset(other, "theme")
    other.theme = "b"  # the revision is 1 again
    steps.look()
    assert told == [("a", "b")]


def test_value_that_is_equal_but_of_another_type_is_a_change(prefs, other, steps):
    told = []
    settings.on_change(prefs, "recent", lambda *change: told.append(change))
    other.recent = ["x"]
    steps.look()
    with settings.edit(other, "recent") as recent:
        recent.append("y")
    steps.look()
    assert told == [([], ["x"]), (["x"], ["x", "y"])]


def test_callback_that_raises_is_reported_and_the_next_change_is_told(prefs, other, steps, reported):
    told = []

    def fails(old, new):
        raise ZeroDivisionError(new)

    settings.on_change(prefs, "theme", fails)
    settings.on_change(prefs, "theme", lambda old, new: told.append(new))
    for theme in ("a", "b"):
        other.theme = theme
        steps.look()
    assert told == ["a", "b"]
    assert reported == ["ZeroDivisionError('a')", "ZeroDivisionError('b')"]


def test_stop_ends_one_callback_and_the_thread_ends_with_the_last(path, steps, other):
    with Settings(Prefs, path, wait=steps.wait) as prefs:
        assert watching() == []
        first, second = [], []
        one = settings.on_change(prefs, "theme", lambda *change: first.append(change))
        with settings.on_change(prefs, "theme", lambda *change: second.append(change)):
            assert watching() == ["store-settings"]
            one.stop()
            one.stop()
            other.theme = "light"
            steps.look()
            assert (first, second) == ([], [("dark", "light")])
            steps.end()
        for thread in threading.enumerate():  # `stop` does not wait for it
            if thread.name == "store-settings":
                thread.join(BOUND_SECONDS)
        assert watching() == []
        steps.ending = False
        settings.on_change(prefs, "theme", lambda *change: first.append(change))
        assert watching() == ["store-settings"]
        steps.end()
    assert watching() == []


def test_callback_may_stop_itself_and_close(path, steps, other):
    prefs = Settings(Prefs, path, wait=steps.wait)
    told = threading.Event()

    def once(old, new):
        handle.stop()
        settings.close(prefs)
        told.set()

    handle = settings.on_change(prefs, "theme", once)
    thread = watching_thread()
    other.theme = "light"
    assert steps.idle.acquire(timeout=BOUND_SECONDS)
    steps.go()
    assert told.wait(BOUND_SECONDS)
    steps.end()
    thread.join(BOUND_SECONDS)
    assert not thread.is_alive()


def test_callback_may_write(prefs, other, steps):
    settings.on_change(prefs, "theme", lambda old, new: setattr(prefs, "font_size", len(new)))
    told = []
    settings.on_change(prefs, "font_size", lambda *change: told.append(change))
    other.theme = "light"
    steps.look()
    steps.look()
    assert other.font_size == 5
    assert told == [(14, 5)]


def test_variable_that_wins_hides_changes(path, monkeypatch, other):
    monkeypatch.setenv("X_THEME", "fixed")
    steps, told = Steps(), []
    with Settings(Prefs, path, env_prefix="X_", wait=steps.wait) as prefs:
        settings.on_change(prefs, "theme", lambda *change: told.append(change))
        other.theme = "light"
        steps.look()
        monkeypatch.delenv("X_THEME")
        other.theme = "sepia"
        steps.look()
        steps.end()
    assert told == [("fixed", "sepia")]


@pytest.mark.filterwarnings("ignore:.*sealed with a key")
def test_record_that_cannot_be_read_is_reported_once_and_the_rest_goes_on(path, prefs, other, steps, reported):
    told = []
    settings.on_change(prefs, "theme", lambda *change: told.append(change))
    settings.on_change(prefs, "font_size", lambda *change: told.append(change))
    with Store(path, namespace="settings", key="the key of others") as theirs:
        theirs.put("theme", print, codec="pickle")
    other.font_size = 20
    steps.look()
    steps.look()
    assert told == [(14, 20)]
    assert len(reported) == 1 and "theme" in reported[0] and reported[0].startswith("Untrusted(")
    other.theme = "sepia"
    steps.look()
    assert told[1:] == [("dark", "sepia")]


def watching_thread():
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "store-settings"]
    return thread


def test_store_that_is_gone_is_reported_and_ends_the_thread(path, reported):
    steps = Steps()
    with Settings(Prefs, path, wait=steps.wait) as prefs:
        settings.on_change(prefs, "theme", print)
        thread = watching_thread()
        moved = path.rename(path.with_name("moved.db"))
        steps.go()
        thread.join(BOUND_SECONDS)
        assert not thread.is_alive()
        assert len(reported) == 1 and reported[0].startswith("StorageError(")
        moved.rename(path)


def test_wait_is_for_the_interval(path):
    asked = []
    ended = threading.Event()

    def wait(seconds):
        asked.append(seconds)
        ended.set()
        return True

    with Settings(Prefs, path, interval=7.5, wait=wait) as prefs:
        settings.on_change(prefs, "theme", print)
        assert ended.wait(BOUND_SECONDS)
    assert asked == [7.5]


def test_stop_does_not_wait_for_a_callback_that_runs(path, steps, other):
    prefs = Settings(Prefs, path, wait=steps.wait)
    calling, go_on = threading.Event(), threading.Event()

    def callback(old, new):
        calling.set()
        assert go_on.wait(BOUND_SECONDS)

    handle = settings.on_change(prefs, "theme", callback)
    other.theme = "light"
    assert steps.idle.acquire(timeout=BOUND_SECONDS)
    steps.go()
    assert calling.wait(BOUND_SECONDS)
    handle.stop()  # the callback waits for what comes after it
    go_on.set()
    steps.end()
    settings.close(prefs)
    assert watching() == []


def test_callback_that_changes_what_it_is_given_spoils_nothing(path, steps, other):
    with Settings(Prefs, path, wait=steps.wait) as prefs:
        told = []

        def callback(old, new):
            told.append((list(old), list(new)))
            new.append("mine")

        settings.on_change(prefs, "recent", callback)
        for recent in (["a"], ["a", "mine"], ["b"]):
            other.recent = recent
            steps.look()
        assert told == [([], ["a"]), (["a"], ["a", "mine"]), (["a", "mine"], ["b"])]
        steps.end()


def test_callback_after_an_error_has_ended_the_thread(path, steps, other, reported):
    with Settings(Prefs, path, wait=steps.wait) as prefs:
        told = []
        settings.on_change(prefs, "theme", lambda *change: told.append(change))
        thread = watching_thread()
        moved = path.rename(path.with_name("moved.db"))
        steps.go()
        thread.join(BOUND_SECONDS)
        assert not thread.is_alive() and len(reported) == 1
        moved.rename(path)
        other.theme = "light"  # while no thread watches
        steps.idle = threading.Semaphore(0)
        settings.on_change(prefs, "font_size", lambda *change: told.append(change))
        other.font_size = 20
        steps.look()
        assert told == [(14, 20), ("dark", "light")]
        steps.end()


def test_forked_child_begins_with_no_callbacks_and_may_have_its_own(path, steps, other):
    prefs = Settings(Prefs, path, wait=steps.wait)
    settings.on_change(prefs, "theme", print)
    with prefs.__settings__.changes.lock:  # as the thread may hold it
        child = os.fork()
    if child == 0:
        try:
            steps.gone, steps.idle = threading.Semaphore(0), threading.Semaphore(0)
            told = []
            settings.on_change(prefs, "theme", lambda *change: told.append(change))
            prefs.theme = "light"
            steps.look()
            steps.end()
            settings.close(prefs)
            os._exit(0 if told == [("dark", "light")] else 1)
        except BaseException:
            os._exit(2)
    try:
        assert os.waitstatus_to_exitcode(wait_for(child)) == 0
    finally:
        steps.end()
        settings.close(prefs)


def wait_for(child):
    """Its status, or the child is killed."""
    alarm = threading.Timer(BOUND_SECONDS, os.kill, (child, signal.SIGKILL))
    alarm.start()
    _, status = os.waitpid(child, 0)
    alarm.cancel()
    alarm.join()
    return status


def test_thread_that_cannot_be_started_is_no_raw_error(prefs, other, steps, monkeypatch):
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
    steps.look()
    assert len(told) == 1 and told != ["never"]
