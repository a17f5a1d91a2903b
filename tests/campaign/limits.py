"""Disks and memory that are too small, by the system itself: a file system of 2 MB, limits of a file and of memory.

Run as a program it does the trials that its arguments name (`python -m tests.campaign.limits FOLDER < TASKS`), as
`failing_calls` does.
"""

from __future__ import annotations

import errno
import faulthandler
import json
import os
import resource
import shlex
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from store.errors import StorageError

from .fault_trial import attempt, in_child
from .operations import OPERATIONS, Place, operation_called
from .trial import Round

HANG_SECONDS = 60
LARGEST_PIECE, SMALLEST_PIECE = 16 * 1024 * 1024, 64  # bytes that are taken from the free memory at once
MOST_BALLAST = 200_000  # pieces
DISK_BYTES = 2 * 1024 * 1024
NO_MOUNT = "SKIPPED WITHOUT A TEST: no small file system may be mounted here, as root or by `unshare -rm` ({})"


@dataclass(frozen=True, slots=True)
class Task:
    """An operation under several limits (bytes); of files and disks up to those at which nothing fails any more."""

    operation: str
    kind: str
    amounts: Sequence[int]
    durability: str = "normal"


class Limit:
    """A `Fault` that sets a limit, and lifts it again. `struck` is not known: the trial says whether it raised."""

    memory = False
    numbers: tuple[int | None, ...] = ()

    def __init__(self, amount: int) -> None:
        self.amount = amount

    def has_struck(self) -> bool:
        return True

    def looks_like_damage(self) -> bool:
        return False

    def may_be(self, number: int | None) -> bool:
        return number in self.numbers

    def arm(self, place: Place) -> None:
        raise NotImplementedError

    def disarm(self) -> None:
        raise NotImplementedError

    def __str__(self) -> str:
        return f"{type(self).__name__} {self.amount}"


class FileSize(Limit):
    """No file may have more bytes (RLIMIT_FSIZE)."""

    numbers = (errno.EFBIG, errno.EIO)

    def arm(self, place: Place) -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.amount, hard))

    def disarm(self) -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


class Memory(Limit):
    """The process gets as many bytes more (RLIMIT_AS), and of what it has as many are free."""

    memory = True
    numbers = (errno.ENOMEM, errno.EIO)

    def __init__(self, amount: int) -> None:
        super().__init__(amount)
        self._ballast: list[bytearray | None] = [None] * MOST_BALLAST

    def arm(self, place: Place) -> None:
        spare = bytearray(self.amount)
        with open("/proc/self/statm", "rb") as stream:
            pages = int(stream.read().split()[0])
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize(), hard))
        self._take_all()
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + self.amount, hard))
        del spare

    def _take_all(self) -> None:
        """Every piece of free memory that is larger than some bytes."""
        place, size = 0, LARGEST_PIECE
        while size >= SMALLEST_PIECE and place < MOST_BALLAST:
            try:
                self._ballast[place] = bytearray(size)
                place += 1
            except MemoryError:
                size //= 4

    def disarm(self) -> None:
        self._ballast.clear()  # first: what comes next needs some memory
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


class FullDisk(Limit):
    """As many bytes are left on the file system."""

    numbers = (errno.ENOSPC, errno.EIO)
    filler: Path | None = None

    def arm(self, place: Place) -> None:
        self.filler = place.folder / "filler"
        status = os.statvfs(place.folder)
        with open(self.filler, "wb", buffering=0) as stream:
            size = status.f_bavail * status.f_frsize - self.amount
            if size > 0:
                os.posix_fallocate(stream.fileno(), 0, size)

    def disarm(self) -> None:
        filler, self.filler = self.filler, None
        if filler is not None:
            filler.unlink()


KINDS: dict[str, type[Limit]] = {"size of a file": FileSize, "memory": Memory, "full disk": FullDisk}


def sweep(task: Task, place: Place, round_: Round, seen: Counter[str]) -> None:
    """The operation under limit after limit."""
    operation = operation_called(task.operation)
    place.durability = task.durability
    for amount in task.amounts:
        faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
        fault = KINDS[task.kind](amount)
        print(f"{task.operation}, {task.durability}, {fault}", file=sys.stderr, flush=True)
        outcome = attempt(operation, place, fault)
        faulthandler.cancel_dump_traceback_later()
        if outcome.failure:
            round_.failures.append(outcome.failure)
        round_.trials += 1
        seen[f"{task.kind}: {outcome.error or 'no error'}"] += 1
        if not outcome.error and task.kind != "memory":
            return


@contextmanager
def small_disk(folder: Path) -> Iterator[list[str]]:
    """A file system of 2 MB mounted at the folder; gives what a command begins with that is to see it.

    Raises: OSError: that is not permitted here.
    """
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == 0:
        try:
            yield []
        finally:
            subprocess.run(["umount", str(folder)], check=True, timeout=60)
        return
    alone = ["unshare", "-rm"]  # where a user may have mounts that nobody else sees
    done = subprocess.run([*alone, *mount], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise OSError(errno.EPERM, done.stderr.strip())
    yield [*alone, "sh", "-c", f'{shlex.join(mount)} && exec "$@"', "sh"]


def run(work: Sequence[Task], folder: Path, timeout: float, prefix: Sequence[str] = ()) -> tuple[Round, Counter[str]]:
    """Do the sweeps in one child; what came of them, and which errors there were."""
    return in_child("limits", work, folder, timeout, prefix=prefix)


def run_on_small_disk(work: Sequence[Task], folder: Path, timeout: float) -> tuple[Round, Counter[str]]:
    """The same on a file system of 2 MB."""
    folder.mkdir(exist_ok=True)
    try:
        with small_disk(folder / "disk") as prefix:
            return run(work, folder / "disk", timeout, prefix)
    except OSError as exc:
        return Round(skipped=NO_MOUNT.format(exc)), Counter()


def main() -> None:
    """The child's work."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    place = Place(Path(sys.argv[1]).resolve() / "place")
    place.prepare()
    for operation in OPERATIONS:  # what is imported late is imported now: a lack of memory is to strike us, not that
        with operation.started(place), suppress(StorageError):  # one is larger than the small disk
            operation.run(place)
    round_, seen = Round(), Counter[str]()
    for fields in json.load(sys.stdin):
        sweep(Task(*fields), place, round_, seen)
    json.dump((round_.trials, round_.failures, seen), sys.stdout)


if __name__ == "__main__":
    main()
