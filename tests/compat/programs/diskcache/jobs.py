"""A job runner: forked processes take jobs from a deque, under locks, a semaphore and a barrier.

Usage: jobs.py FOLDER
"""

import multiprocessing
import os
import sys
from pathlib import Path

import diskcache as dc

JOBS = 24
WORKERS = 3


class Runner:
    """What all processes share; it is opened before they are forked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = dc.FanoutCache(folder, shards=4, timeout=10)
        self.jobs = self.cache.deque("jobs")
        self.results = self.cache.index("results")
        self.state = self.cache.cache("state", eviction_policy="none")
        self.lock = dc.Lock(self.state, "total lock", expire=60)
        self.slots = dc.BoundedSemaphore(self.state, "slots", value=2)

        @dc.barrier(self.state, dc.RLock, name="log", expire=60)
        def log(line: str) -> int:
            """One line at a time, with its number."""
            with dc.RLock(self.state, "log", expire=60):  # it holds it already
                number = self.state.get("lines", 0) + 1
                self.state["lines"] = number
                self.state["line", number] = line
                return number

        self.log = log

    def add_to_total(self, number: int) -> None:
        with self.lock:
            total = self.state.get("total", default=0)
            self.state.set("total", total + number)

    def run(self) -> None:
        """One process: until no job is left."""
        while True:
            try:
                job = self.jobs.popleft()
            except IndexError:
                return
            with self.slots:
                self.state.incr("running")
                self.results[job["name"]] = {"square": job["number"] ** 2, "by": os.getpid()}
                self.add_to_total(job["number"])
                self.state.decr("running")
            self.log(f"{job['name']} is done")

    def close(self) -> None:
        self.cache.close()


def main(folder: Path) -> None:
    runner = Runner(folder / "jobs")
    runner.jobs.extend({"name": f"job {number:02}", "number": number} for number in range(JOBS))
    runner.jobs.appendleft({"name": "urgent", "number": 100})
    runner.jobs.rotate(1)
    print("first", runner.jobs.peekleft()["name"], "last", runner.jobs.peek()["name"], "of", len(runner.jobs))
    runner.jobs.rotate(-1)
    print("third", runner.jobs[2], "last", runner.jobs[-1]["number"])

    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=runner.run) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print("exit codes", [worker.exitcode for worker in workers])

    print("left", len(runner.jobs), list(runner.jobs))
    print("results", len(runner.results), "sum", sum(result["square"] for result in runner.results.values()))
    print("total", runner.state["total"], "expected", sum(range(JOBS)) + 100)
    print("running", runner.state["running"], "slots", runner.state["slots"], "locked", runner.lock.locked())
    lines = [runner.state["line", number] for number in range(1, runner.state["lines"] + 1)]
    print("lines", len(lines), "all different", len(set(lines)) == len(lines), sorted(lines)[0])
    print("by workers alone", {result["by"] for result in runner.results.values()} <= {w.pid for w in workers})
    print("urgent", runner.results.pop("urgent")["square"], runner.results.get("urgent"), len(runner.results))
    try:
        runner.slots.release()
    except AssertionError as exc:
        print("semaphore:", exc)
    try:
        dc.RLock(runner.state, "log").release()
    except AssertionError as exc:
        print("lock:", exc)
    directory = Path(runner.results.directory).relative_to(folder)
    runner.close()
    print("again", len(dc.Index(str(folder / directory))), directory)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
