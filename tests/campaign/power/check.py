"""What must hold of a store on a disk that a power cut left."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from random import Random
from typing import Any

from store import Store
from store.engines.sqlite import schema as schema
from store.engines.sqlite.engine.fetching import fetch_all

from ..migrations import RELEASED, next_release
from .disk import Files
from .plans import BACKUP, SPILL_BYTES, State, plain
from .recording import Moment, Recording

TWICE = "SELECT 1 FROM records WHERE checked <> id"  # what `next_release` puts there
WRITTEN_ANEW = 0.05  # of the states are written to, compacted, backed up and opened again


@contextmanager
def laid_out(files: Files, folder: Path, rng: Random) -> Iterator[None]:
    """The files, in `folder`, and the user's home in it; nothing of them is left."""
    folder.mkdir()
    before = {name: os.environ.get(name) for name in ("HOME", "XDG_DATA_HOME")}
    os.environ |= {"HOME": str(folder / "home"), "XDG_DATA_HOME": str(folder / "home" / "data")}
    try:
        for path, content in files.items():
            if content is None:
                (folder / path).mkdir(0o700)
            else:  # a -shm is written through a map: anything may be in it
                _write(folder / path, rng.randbytes(len(content)) if path.endswith("-shm") else content)
        yield
    finally:
        shutil.rmtree(folder)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _write(path: Path, content: bytes) -> None:
    """Closed to others, as a key file must be."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)


def problem_of(recording: Recording, moment: Moment, folder: Path, rng: Random) -> str | None:
    """What is wrong with what was found; None where the promise was kept."""
    with laid_out(moment.files, folder, rng):
        path = folder / "app.db"
        if recording.base.get("app.db") and not (path.exists() and path.stat().st_size):
            return "the database is gone"
        try:
            with warnings.catch_warnings(action="error"), next_release() if recording.upgrades else nullcontext():
                return _problem(path, recording, moment, rng)
        except Exception as exc:  # each is a store that does not work, and is said
            return f"{type(exc).__name__}: {exc}"


def _problem(path: Path, recording: Recording, moment: Moment, rng: Random) -> str | None:
    with opened(path) as store:
        found, problem = _looked_at(store)
    return (
        problem
        or _position_of(found, recording, moment)
        or (recording.backups and _backup_problem(path, recording, moment))
        or (_written_anew(path, found) if rng.random() < WRITTEN_ANEW else None)
    )


def opened(path: Path) -> Store[Any]:
    return Store(path, trust="own", spill_bytes=SPILL_BYTES)


def _looked_at(store: Store[Any]) -> tuple[State, str | None]:
    """All values, and what SQLite and `verify` say of them."""
    found = {name: plain(value) for name, value in store.items()}
    engine = store.opened.engine.handle.engine  # type: ignore[attr-defined]
    checked = engine.read("PRAGMA integrity_check", (), fetch_all, 0.0, 1.0)
    if checked != [("ok",)]:
        return found, f"integrity_check: {checked}"
    if schema.SCHEMA_VERSION > RELEASED and engine.read(TWICE, (), fetch_all, 0.0, 1.0):
        return found, "a step of the schema was done twice"
    report = store.verify()
    return found, None if report.ok else f"verify: {report}"


def _position_of(found: State, recording: Recording, moment: Moment) -> str | None:
    """Whether the store is as it was after a step that it may be back at."""
    least = moment.done if recording.durability == "full" else 0
    if any(found in recording.states[number] for number in range(moment.begun, least - 1, -1)):
        return None
    was = [number for number, state in enumerate(recording.states) if found in state]
    return (
        f"the store is as after step {was} ({len(found)} records); steps 1-{moment.done} had returned, "
        f"{moment.begun} had begun"
    )


def _backup_problem(path: Path, recording: Recording, moment: Moment) -> str | None:
    """The last backup that had returned is there, or one that had begun since; whatever the durability."""
    done = max((step for step in recording.backups if step <= moment.done), default=0)
    begun = max((step for step in recording.backups if step <= moment.begun), default=0)
    backup = path.with_name(path.name + BACKUP)
    if not backup.exists():
        return f"the backup of step {done} is gone" if done else None
    with opened(backup) as store:
        found, problem = _looked_at(store)
    if problem is None and found not in (*recording.states[done], *recording.states[begun]):
        problem = f"the store is not as at step {done} or {begun}"
    return problem and f"in the backup: {problem}"


def _written_anew(path: Path, found: State) -> str | None:
    """The store works: it is written to, rid of what the power cut left, closed and opened."""
    backup = path.with_name(path.name + BACKUP)
    with opened(path) as store:
        store["after the cut"] = b"after" * SPILL_BYTES
        store.compact()
        store.backup(backup)
        report = store.verify()
        if not report.ok or report.orphans:
            return f"after compact(): {report}"
    found["after the cut"] = b"after" * SPILL_BYTES
    for what in (path, backup):
        with opened(what) as store:
            if {name: plain(value) for name, value in store.items()} != found:
                return f"what was written after the power cut is not there in {what}"
    return None
