"""One trial: an operation while something fails, and what must hold then.

Either it succeeds as if nothing had failed, or it raises an error of ours that says what to do, and the store is as
it was. When nothing fails any more the same handle works on, and a look by plain `sqlite3` finds the file sound.
"""

from __future__ import annotations

import gc
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from store import Store
from store.engines.sqlite import statements as sql
from store.errors import Corrupt, OutcomeUnknown, StorageError, StoreError
from store.rows import spilled
from store.rows.row import Row
from store.trust.keys.ring import Keyring
from store.trust.seal import Sealer, Verdict

from .operations import Operation, Place, State, contents
from .trial import Round

# CPython's own modules raise the second one where they forgot to say that it was memory.
NO_MEMORY = (MemoryError, SystemError)
ADVICE = re.compile(r"try again|have its owner allow|see where they point|store recover|write it again|free space|open it|open the store|restore|ulimit|choose|make it|move it")
"""One of these is in each message: what to do next."""


ROOT = Path(__file__).parents[2]


def in_child(
    module: str,
    work: Sequence[Any],
    folder: Path,
    timeout: float,
    *,
    prefix: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> tuple[Round, Counter[str]]:
    """What came of the tasks, done by that module of ours in a child; and which errors there were.

    `prefix`: what the child's command begins with. `environment`: what is added to ours.
    """
    folder.mkdir(exist_ok=True)
    command = [*prefix, sys.executable, "-m", f"tests.campaign.{module}", str(folder)]
    # To a file: a child that hangs would fill a pipe, and what it did last is what is wanted then.
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **(environment or {})}, stderr=said, stdout=subprocess.PIPE,
            input=json.dumps([[getattr(task, name) for name in task.__slots__] for task in work]), text=True,
            timeout=timeout, check=False,
        )  # fmt: skip
        said.seek(0)
        last = "".join(said.readlines()[-40:])
    if done.returncode:
        return Round(trials=1, failures=[f"the child ended with {done.returncode}: {last}"]), Counter()
    trials, failures, seen = json.loads(done.stdout)
    return Round(trials, failures), Counter(seen)


class Fault(Protocol):
    """What fails, and when."""

    memory: bool
    """Whether a MemoryError is an answer to it."""

    def arm(self, place: Place) -> None: ...

    def disarm(self) -> None: ...

    def has_struck(self) -> bool:
        """Whether anything failed since `arm`."""
        ...

    def looks_like_damage(self) -> bool:
        """Whether SQLite cannot tell it from damage."""
        ...

    def may_be(self, number: int | None) -> bool:
        """Whether an error of the storage may have that errno."""
        ...


class Broken(Exception):
    """What a trial found."""


@dataclass(slots=True)
class Outcome:
    struck: bool = False
    error: str = ""  # the type of what the operation raised
    failure: str = ""


def attempt(operation: Operation, place: Place, fault: Fault) -> Outcome:
    """Do the operation under the fault, and look at everything afterwards."""
    outcome = Outcome()
    try:
        with operation.started(place) as before:
            found, error = _under(fault, operation, place)
            outcome.struck, outcome.error = fault.has_struck(), type(error).__name__ if error else ""
            _check(operation, place, fault, before, found, error)
    except Broken as exc:
        outcome.failure = f"{operation.name}, {place.durability}, {fault}: {exc}"
    except Exception:
        outcome.failure = f"{operation.name}, {place.durability}, {fault}: {traceback.format_exc(limit=-6)}"
    finally:
        fault.disarm()
        place.close()
    return outcome


def _under(fault: Fault, operation: Operation, place: Place) -> tuple[State | None, Exception | None]:
    fault.arm(place)
    try:
        return operation.run(place), None
    except Exception as exc:
        return None, exc
    finally:
        fault.disarm()


def _check(
    operation: Operation, place: Place, fault: Fault, before: State, found: State | None, error: Exception | None
) -> None:
    after = operation.after(before)
    if error is not None:
        _check_error(place, fault, error)
        _let_go(error)
    elif found is not None and not found.items() <= (before | after).items():
        _check_found(operation, fault, found)
    store = place.open()
    _check_state(contents(store), before, after, error)
    _check_works(store)
    place.close()
    check_file(place)
    with place.opened(cache_bytes=0) as again:
        _check_state(_less_tried(contents(again)), before, after, error)


def _check_error(place: Place, fault: Fault, error: Exception) -> None:
    if isinstance(error, NO_MEMORY) and fault.memory:
        return
    if isinstance(error, Corrupt) and fault.looks_like_damage():
        return
    text = "".join(traceback.format_exception(error, limit=-6))
    if not isinstance(error, StoreError):
        raise Broken(f"no error of ours: {text}")
    if isinstance(error, StorageError) and not fault.may_be(error.errno):
        raise Broken(f"errno {error.errno}: {text}")
    named = f"{error.message} {getattr(error, 'path', None)}"
    if str(place.folder) not in named and "record '" not in named:
        raise Broken(f"names neither file nor record: {text}")
    if not ADVICE.search(error.message):
        raise Broken(f"does not say what to do: {text}")


def _let_go(error: Exception) -> None:
    """Of the frames that it passed through: a descriptor in one keeps the lock of the folder, and its files there.

    Each step may raise a MemoryError, the closing of a descriptor included, which is then done with its object.
    """
    if isinstance(error, NO_MEMORY):
        above: BaseException | None = error
        while above is not None:
            above.__traceback__, above = None, above.__context__
        gc.collect()


def _check_found(operation: Operation, fault: Fault, found: State) -> None:
    """`verify` alone may tell of what fails by what it returns."""
    if operation.name != "verify" or not fault.has_struck():
        raise Broken(f"returned {found!r:.200}")


def _check_state(state: State, before: State, after: State, error: Exception | None) -> None:
    """Never half of it. What raised an error has not happened.

    But for an error that says so, and a MemoryError, which any step may raise, the one after the commit included.
    """
    expected = after if error is None else before
    if state != expected and not (isinstance(error, (*NO_MEMORY, OutcomeUnknown)) and state == after):
        changed = {k: state.get(k) for k in {*state, *expected} if state.get(k) != expected.get(k)}
        happened = "; it happened all the same" if error is not None and state == after else ""
        raise Broken(f"after {error!r:.300} the store is not as it should be: {changed!r:.300}{happened}")


TRIED = {"tried": 1, "tried in a file": "t" * 2000}


def _check_works(store: Store[Any]) -> None:
    store.update(TRIED)
    if {name: store[name] for name in TRIED} != TRIED:
        raise Broken("what was written after the fault is not there")
    store.compact()
    if store.stats().checkpoint_error is not None:
        raise Broken(f"no checkpoint after the fault: {store.stats().checkpoint_error}")
    verified = store.verify()
    if not verified.ok or verified.orphans:
        raise Broken(f"after the fault, verify: {verified}")


def _less_tried(state: State) -> State:
    return {name: value for name, value in state.items() if name not in TRIED}


def check_file(place: Place) -> None:
    """By plain `sqlite3`: the file is whole, each seal is ours and holds, each file that a row names is there."""
    with closing(sqlite3.connect(f"file:{place.path}?mode=ro", uri=True)) as conn:
        damage = conn.execute("PRAGMA integrity_check").fetchall()
        if damage != [("ok",)]:
            raise Broken(f"integrity_check: {damage}")
        (store_id,) = conn.execute("SELECT id FROM identity").fetchone()
        sealer = Sealer(Keyring(), store_id)
        named: set[str] = set()
        for values in conn.execute(f"SELECT {sql._COLUMNS} FROM records"):
            row = Row._make(values)
            if sealer.check(row) is not Verdict.OWN:
                raise Broken(f"record {row.name!r} is not sealed with our key")
            if row.spill is not None:
                named |= _files_of(place, row, spilled.prefix_of(store_id, row.namespace, row.name))
    there = set(os.listdir(f"{place.path}-spill")) if os.path.isdir(f"{place.path}-spill") else set()
    if there != named:
        raise Broken(f"files that no record names, or that are missing: {there ^ named}")


def _files_of(place: Place, row: Row, prefix: str) -> set[str]:
    parts = spilled.parts_of(row.spill or "", prefix)
    for part in parts:
        with open(f"{place.path}-spill/{part.file}", "rb") as stream:
            content = stream.read()
        if (len(content), spilled.checksum(content).hexdigest()) != (part.bytes, part.checksum):
            raise Broken(f"the file of record {row.name!r} is not what was written")
    return {part.file for part in parts}
