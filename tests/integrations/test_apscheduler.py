"""Jobs of APScheduler in a store: they outlive the scheduler, and one that cannot be restored stays and holds up none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from children import Start
from strangers import FOREIGN_KEY, MINE, THEIRS, Marker

from store import Store
from store.errors import LockTimeout, NotSerializable

pytest.importorskip("apscheduler", reason="apscheduler is not installed: its job store is not tested")
from apscheduler.events import EVENT_JOB_REMOVED
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from store.integrations.apscheduler import StoreJobStore

WAIT_SECONDS = 60
LATER = datetime(2999, 1, 1, tzinfo=UTC)
ran: set[str] = set()

ADDS = """
import sys, threading
from apscheduler.events import EVENT_JOB_REMOVED
from apscheduler.schedulers.background import BackgroundScheduler
from store.integrations.apscheduler import StoreJobStore
scheduler = BackgroundScheduler(timezone="UTC")
scheduler.add_jobstore(StoreJobStore(sys.argv[1]))
scheduler.start()
for i in range(3):
    scheduler.add_job("builtins:print", "date", args=["never"], run_date="2999-01-01", id=f"job{i}")
print("added", flush=True)
input()
"""


def note(name: str) -> None:
    ran.add(name)


def removed(scheduler: BackgroundScheduler) -> threading.Event:
    """Is set once a job has been started for the last time, and removed: before that, a shutdown is too early."""
    done = threading.Event()
    scheduler.add_listener(lambda _: done.set(), EVENT_JOB_REMOVED)
    return done


@pytest.fixture(autouse=True)
def none_ran() -> None:
    ran.clear()


@contextmanager
def running(place: str | Path, paused: bool = False, **options: Any) -> Iterator[BackgroundScheduler]:
    scheduler = BackgroundScheduler(timezone=UTC)
    scheduler.add_jobstore(StoreJobStore(place, **options))
    scheduler.start(paused=paused)
    try:
        yield scheduler
    finally:
        scheduler.shutdown()


def ids(scheduler: BackgroundScheduler) -> list[str]:
    return [job.id for job in scheduler.get_jobs()]


def test_due_job_runs_and_is_gone(place: str) -> None:
    with running(place) as scheduler:
        done = removed(scheduler)
        scheduler.add_job(note, args=["now"], id="x")
        assert done.wait(WAIT_SECONDS)
    assert "now" in ran
    with Store(place, namespace="apscheduler") as s:
        assert (len(s), len(s.within("apscheduler#times"))) == (0, 0)


@pytest.mark.slow
def test_job_outlives_its_scheduler(place: str) -> None:
    with running(place) as scheduler:
        scheduler.add_job(note, "interval", weeks=1, args=["x"], id="weekly", start_date=LATER)
        scheduler.add_job(note, "date", run_date=LATER - timedelta(days=1), args=["y"], id="once")
        scheduler.pause_job("once")
    with running(place) as scheduler:
        weekly, once = scheduler.get_jobs()
        assert (weekly.id, weekly.next_run_time, weekly.args) == ("weekly", LATER, ("x",))
        assert isinstance(weekly.trigger, IntervalTrigger)
        assert (once.id, once.next_run_time) == ("once", None)
        once.resume()
        assert ids(scheduler) == ["once", "weekly"]
        weekly.remove()
        assert ids(scheduler) == ["once"]


def test_scheduler_ends_without_a_word_and_starts_again(place: str, caplog: pytest.LogCaptureFixture) -> None:
    scheduler = BackgroundScheduler(timezone=UTC)
    scheduler.add_jobstore(StoreJobStore(place))
    for run in range(2):
        scheduler.start()
        scheduler.add_job(note, "date", run_date=LATER, args=["x"], id=f"job{run}")
        assert len(scheduler.get_jobs()) == run + 1
        scheduler.shutdown()
    assert caplog.text == ""


@pytest.mark.slow
def test_job_of_a_killed_process_is_there(place: str, start: Start) -> None:
    child = start(ADDS, place)
    assert child.hear() == "added"
    child.kill()
    with running(place) as scheduler:
        assert sorted(ids(scheduler)) == ["job0", "job1", "job2"]


def test_run_times_of_a_release_before_are_used_on(tmp_path: Path) -> None:
    place = tmp_path / "jobs.db"
    with running(place, paused=True) as scheduler:
        scheduler.add_job(note, "date", run_date=LATER, args=["x"], id="a")
    with Store[Any](place, namespace="apscheduler") as s, s.within("apscheduler#times") as times:
        with s.within("apscheduler.times") as before:
            before.update(times)  # where that release kept them
        times.clear()
    with running(place, paused=True) as scheduler:
        scheduler.add_job(note, "date", run_date=LATER, args=["x"], id="b")
        jobs = scheduler._lookup_jobstore("default")
        assert [job.id for job in jobs.get_due_jobs(LATER)] == ["a", "b"]
    with Store[Any](place, namespace="apscheduler.times") as before:
        assert len(before) == 2


def test_run_times_are_kept_to_the_microsecond(place: str) -> None:
    times = [LATER + timedelta(microseconds=n) for n in (1, 0, 999_999)]
    with running(place, paused=True) as scheduler:
        for number, time in enumerate(times):
            scheduler.add_job(note, "date", run_date=time, args=["x"], id=str(number))
        assert ids(scheduler) == ["1", "0", "2"]
        assert scheduler._lookup_jobstore("default").get_next_run_time() == times[1]
        assert [job.id for job in scheduler._lookup_jobstore("default").get_due_jobs(times[0])] == ["1", "0"]


def test_job_whose_function_is_gone_stays_and_runs_when_it_is_back(
    place: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    soon = datetime.now(UTC)
    with running(place, paused=True) as scheduler:
        scheduler.add_job(note, "date", run_date=soon, args=["gone"], id="gone", misfire_grace_time=None)
    with monkeypatch.context() as patched:
        patched.delitem(globals(), "note")
        with running(place) as scheduler:
            assert ids(scheduler) == []
    assert "the job 'gone' cannot be restored" in caplog.text
    with running(place, paused=True) as scheduler:
        done = removed(scheduler)
        scheduler.resume()
        assert done.wait(WAIT_SECONDS)
    assert "gone" in ran


@pytest.mark.damaged
@pytest.mark.filterwarnings(FOREIGN_KEY)
def test_foreign_job_runs_nothing_and_holds_up_none(place: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    created = tmp_path / "created"
    with Store(place, namespace="apscheduler", key=THEIRS) as s:
        s["planted"] = Marker(created)
        with s.within("apscheduler#times") as times:
            times["00000000000000000001 planted"] = None
    with running(place, key=MINE) as scheduler:
        done = removed(scheduler)
        scheduler.add_job(note, args=["mine"], id="mine")
        assert done.wait(WAIT_SECONDS)
    assert "mine" in ran
    assert not created.exists()
    assert "the job 'planted' cannot be restored" in caplog.text
    with Store(place, namespace="apscheduler", key=MINE) as s:
        assert list(s) == ["planted"]


def test_failure_of_the_disk_unschedules_nothing(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(place, paused=True) as scheduler:
        scheduler.add_job(note, "date", run_date=LATER, args=["x"], id="x")
        jobs = scheduler._lookup_jobstore("default")

        def fail(*_: object) -> None:
            raise LockTimeout("another program holds it")

        assert [job.id for job in jobs.get_due_jobs(LATER)] == ["x"]
        with monkeypatch.context() as patched:
            patched.setattr(Store, "get", fail)
            with pytest.raises(LockTimeout):
                jobs.get_due_jobs(LATER)
        assert [job.id for job in jobs.get_due_jobs(LATER)] == ["x"]


def test_argument_that_cannot_be_encoded_is_refused(place: str) -> None:
    with running(place) as scheduler, pytest.raises(NotSerializable):
        scheduler.add_job(note, "date", run_date=LATER, args=[threading.Lock()], id="x")
    with Store(place, namespace="apscheduler") as s:
        assert len(s) == 0
