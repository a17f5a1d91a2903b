"""A job store of APScheduler 3: `scheduler.add_jobstore(StoreJobStore("jobs.db"))`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any, Unpack

from apscheduler.job import Job
from apscheduler.jobstores.base import BaseJobStore, ConflictingIdError, JobLookupError

from store.errors import RecordError, StoreError
from store.mapping.store import Store
from store.opened.options import OpeningOptions

_EPOCH, _NEVER, _UNIT = datetime.fromtimestamp(0, UTC), datetime.max.replace(tzinfo=UTC), timedelta(microseconds=1)


class StoreJobStore(BaseJobStore):
    """Jobs by their ids, and in a second namespace their run times in order. Safe across threads.

    One scheduler at a time runs the jobs of a location, as APScheduler 3 asks for.
    A job that cannot be restored, since its function is gone or none of your keys sealed it, is logged and does not
    run. Its record stays, and runs again once the cause is gone and the scheduler restarts.

    Args:
        location: path or URL; open between start and shutdown of the scheduler. Raises, at the start: as `Store`.
        namespace: which of the mappings in the file.
        options: of the `Store`: key, timeout, durability… Its trust is "own" here.
    """

    def __init__(
        self, location: str | os.PathLike[str], *, namespace: str = "apscheduler", **options: Unpack[OpeningOptions]
    ) -> None:
        self._location, self._namespace = location, namespace
        self._options: OpeningOptions = {"trust": "own", **options}

    def start(self, scheduler: Any, alias: str) -> None:
        super().start(scheduler, alias)
        self._jobs = Store[Any](self._location, namespace=self._namespace, **self._options)
        self._times = self._times_beside(self._jobs)
        scheduled = {name[21:] for name in self._run_times()}
        for job in self._restored(id for id in self._jobs if id not in scheduled):
            self._schedule(job)

    def _times_beside(self, jobs: Store[Any]) -> Store[Any]:
        """A namespace in one slot of a cluster with that of the jobs; the one of releases before, if it has any.

        The times are in the records of the jobs too: a job that has none here gets it at the start.
        """
        if before := jobs.within(f"{self._namespace}.times"):
            return before
        before.close()
        return jobs.within(f"{self._namespace}#times")

    def shutdown(self) -> None:
        self._times.close()
        self._jobs.close()

    def lookup_job(self, job_id: str) -> Job | None:
        return (self._restored([job_id]) or [None])[0]

    def get_due_jobs(self, now: datetime) -> list[Job]:
        due = takewhile(lambda name: name < _name_of(now, "\U0010ffff"), self._run_times())
        return self._restored([name[21:] for name in due])

    def get_next_run_time(self) -> datetime | None:
        return next((_EPOCH + int(name[:20]) * _UNIT for name in self._run_times(limit=1)), None)

    def get_all_jobs(self) -> list[Job]:
        return sorted(self._restored(self._jobs), key=lambda job: job.next_run_time or _NEVER)

    def add_job(self, job: Job) -> None:
        with self._jobs.transaction(self._times):
            if not self._jobs.add(job.id, job.__getstate__()):
                raise ConflictingIdError(job.id)
            self._schedule(job)

    def update_job(self, job: Job) -> None:
        with self._jobs.transaction(self._times):
            self.remove_job(job.id)
            self.add_job(job)

    def remove_job(self, job_id: str) -> None:
        with self._jobs.transaction(self._times):
            if not self._jobs.delete(job_id):
                raise JobLookupError(job_id)
            self._unschedule(job_id)

    def remove_all_jobs(self) -> None:
        with self._jobs.transaction(self._times):
            self._jobs.clear()
            self._times.clear()

    def _run_times(self, limit: int | None = None) -> list[str]:
        return [] if self._times.opened.closed else self._times.names(limit=limit)  # it is asked after its shutdown

    def _schedule(self, job: Job) -> None:
        if job.next_run_time is not None:
            self._times[_name_of(job.next_run_time, job.id)] = None

    def _unschedule(self, id: str) -> None:
        self._times.delete_many([name for name in self._run_times() if name[21:] == id])

    def _restored(self, ids: Iterable[str]) -> list[Job]:
        """The jobs of those ids that can be restored. Others are due no more, or they would be for ever."""
        jobs = []
        for id in ids:
            job = Job.__new__(Job)
            try:
                if (state := self._jobs.get(id)) is not None:
                    job.__setstate__(state)
                    for name, value in {"_scheduler": self._scheduler, "_jobstore_alias": self._alias}.items():
                        setattr(job, name, value)  # which APScheduler asks of a job store, and has no public way for
                    jobs.append(job)
            except Exception as exc:  # the classes of a job may raise anything; the other jobs are to run
                if isinstance(exc, StoreError) and not isinstance(exc, RecordError):
                    raise
                self._logger.exception("the job %r cannot be restored, and does not run; its record stays", id)
                self._unschedule(id)
        return jobs


def _name_of(time: datetime, id: str) -> str:
    """The name of a run time, 20 digits and an id; names are in the order of the times."""
    return f"{max((time - _EPOCH) // _UNIT, 0):020d} {id}"
