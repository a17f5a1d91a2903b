"""The program that is recorded: it runs with the shim, one plan after the other, and says what was done when.

    python -m tests.campaign.power.recorded FOLDER SEED DURABILITY DEFECT PLAN...

leaves `FOLDER/PLAN/log` and `FOLDER/PLAN/recorded.pickle`. The defect is one of `defects.py`, or "none".
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import store.engines.sqlite.engine.checkpoints as checkpoints
from store import Store
from store.care import backup as backups
from store.engines.sqlite.opening.network import VARIABLE
from store.rows.spilled import FOLDER_SUFFIX

from ..migrations import next_release
from ..shim import loaded
from . import defects
from .disk import Base
from .plans import BACKUP, GONE, PLANS, SPILL_BYTES, Change, Plan, Step

LOG_FRAMES = 12  # pages in the log that bring a checkpoint: several in each plan


def main() -> None:
    folder, seed, durability, defect, *names = sys.argv[1:]
    checkpoints.LOG_FRAMES = LOG_FRAMES
    sys.modules |= dict.fromkeys(("numpy", "pandas"))  # sqlite-utils would load them where they are, for half a second
    defects.DEFECTS[defect]()
    for name in names:
        record(Path(folder) / name, PLANS[name](Random(f"{seed} {name}")), durability)


def record(folder: Path, plan: Plan, durability: str) -> None:
    """Run a plan in `folder/disk`."""
    disk = folder / "disk"
    home = disk / "home"
    home.mkdir(parents=True)
    os.environ |= {"HOME": str(home), "XDG_DATA_HOME": str(home / "data")}
    program = Program(disk / "app.db", durability)
    if plan.prepared:
        program.run(plan.prepared, lambda text: None)
    base = contents(disk)
    shim = loaded()
    shim.shim_watch(os.fsencode(disk))
    shim.shim_record(os.fsencode(folder / "log"))
    program.run(plan.steps, lambda text: shim.shim_mark(text.encode()))
    shim.shim_record(None)
    shim.shim_watch(None)
    with open(folder / "recorded.pickle", "wb") as file:
        pickle.dump((str(disk), base, {path: content for path, (_, content) in contents(disk).items() if path}), file)


def contents(root: Path) -> Base:
    """Relative path → inode, content (None: a folder); the root is ""."""
    found: Base = {"": (root.stat().st_ino, None)}
    for path in sorted(root.rglob("*")):
        found[str(path.relative_to(root))] = path.stat().st_ino, None if path.is_dir() else path.read_bytes()
    return found


class Program:
    """Has a store open, and does one step after the other."""

    def __init__(self, path: Path, durability: str) -> None:
        self.path = path
        self.durability = durability

    def run(self, steps: list[Step], mark: Callable[[str], Any]) -> None:
        """Say of each step that it begins, and that it was done."""
        self.store = self.opened()
        for number, step in enumerate(steps, 1):
            mark(f"begin {number}")
            if step.kind == "killed":
                self.killed(step.changes[0], step.entries)
            else:
                getattr(self, step.kind.replace(" ", "_"))(*step.changes)
            mark(f"done {number}")
        self.store.close()

    def opened(self) -> Store[Any]:
        return Store(self.path, durability=self.durability, spill_bytes=SPILL_BYTES)

    def set(self, change: Change) -> None:
        name, value = change
        self.store[name] = value

    def delete(self, change: Change) -> None:
        del self.store[change[0]]

    def update(self, *changes: Change) -> None:
        self.store.update(changes)

    def transaction(self, *changes: Change) -> None:
        with self.store.transaction():
            for name, value in changes:
                if value is GONE:
                    del self.store[name]
                else:
                    self.store[name] = value

    def thread(self, change: Change) -> None:
        thread = threading.Thread(target=self.set, args=(change,))
        thread.start()
        thread.join()

    def threads(self, *changes: Change) -> None:
        threads = [threading.Thread(target=self.set, args=(change,)) for change in changes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def processes(self, *changes: Change) -> None:
        children = [self.forked(change) for change in changes]
        for child in children:
            os.waitpid(child, 0)

    def forked(self, change: Change) -> int:
        child = os.fork()
        if not child:
            self.set(change)
            os._exit(0)
        return child

    def nothing(self) -> None:
        """All changes of the step before it have returned."""

    def killed(self, change: Change, entries: int) -> None:
        child = os.fork()
        if not child:
            loaded().shim_die(entries)
            self.set(change)
            os._exit(0)  # it was done before so many entries
        os.waitpid(child, 0)

    def compact(self) -> None:
        self.store.compact()

    def reopen(self) -> None:
        self.store.close()
        self.store = self.opened()

    def left_folder(self) -> None:
        """As `Folder` makes it, up to where the maker was killed."""
        os.mkdir(f"{self.path}{FOLDER_SUFFIX}", 0o700)

    def backup(self) -> None:
        self.store.backup(f"{self.path}{BACKUP}")

    def restore(self) -> None:
        backups.restore(f"{self.path}{BACKUP}", self.path)

    def to_network(self) -> None:
        os.environ[VARIABLE] = "1"
        self.reopen()

    def from_network(self) -> None:
        os.environ[VARIABLE] = "0"
        self.reopen()
        del os.environ[VARIABLE]

    def upgrade(self) -> None:
        self.store.close()
        with next_release():
            self.store = self.opened()

    def opened_backup(self) -> None:
        Store(f"{self.path}{BACKUP}").close()

    def killed_backup(self) -> None:
        child = os.fork()
        if not child:
            defects.dying_at_sync()
            self.backup()
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
