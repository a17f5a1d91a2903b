"""What is done to a store while something fails: operations, and what the store holds before and after each.

All begin with a copy of one store (`Place`), so that the same operation makes the same system calls each time.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from store import Store
from store.aio import AsyncStore
from store.engines.sqlite.engine import checkpoints as sqlite_checkpoints

State = dict[str, Any]

NOW = 1_800_000_000.0  # what the clock of every store here says; Unix seconds
SPILL_BYTES = 1000  # parts of a value that are larger are files
TIMEOUT = 0.1  # seconds that a lock is waited for; nobody has one
MANY = 20
LONG, LONGER = "s" * 3000, "S" * 5000

BEFORE: State = {"small": {"n": 1}, "list": ["old"], "in a file": LONG, "other": LONG}


class Place:
    """A folder with one store in it and the key it is sealed with, made anew for every trial."""

    def __init__(self, folder: Path, durability: str = "normal") -> None:
        self.folder = folder
        self.durability = durability
        self.path = folder / "app.db"
        self.data = folder / "data"  # of the user: what holds the key
        self.store: Store[Any] | None = None
        self._model = folder.with_name(folder.name + "-model")

    def prepare(self) -> None:
        """Make what the trials begin with."""
        shutil.rmtree(self._model, ignore_errors=True)
        self.clear()
        with self.opened(clock=NOW) as s:
            s.update(BEFORE)
            s.put("expired", LONG, ttl=1)
            s.put("expired too", 1, ttl=1)
        with self.opened() as s:
            s.compact()  # what the log held is in the database
        shutil.copytree(self.folder, self._model)

    def reset(self, how: str) -> None:
        """ "full": as `prepare` left it. "no key": the user has none yet. "empty": no store. "nothing": neither."""
        self.close()
        self.clear()
        if how in ("full", "empty"):
            shutil.copytree(self._model / "data", self.data)
        if how == "full":
            shutil.copytree(self._model, self.folder, dirs_exist_ok=True)

    def clear(self) -> None:
        """Leave the folder empty; itself it stays, since it may be a file system of its own."""
        self.folder.mkdir(exist_ok=True)
        for entry in os.scandir(self.folder):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry)
            else:
                os.unlink(entry)

    def opened(self, clock: float = NOW + 10, **options: Any) -> Store[Any]:
        """A store on the file, at a time when what had a lifetime has expired."""
        os.environ["XDG_DATA_HOME"] = str(self.data)
        return Store(
            self.path, clock=lambda: clock, spill_bytes=SPILL_BYTES, timeout=TIMEOUT, durability=self.durability, **options
        )

    def open(self, **options: Any) -> Store[Any]:
        """The same, kept as the one of this trial."""
        if self.store is None:
            self.store = self.opened(**options)
        return self.store

    def close(self) -> None:
        store, self.store = self.store, None
        if store is not None:
            store.close()


@dataclass(frozen=True, slots=True)
class Operation:
    """`run` is given a place, whose store is open already where `is_open`.

    What `run` returns is a part of what the store held before, or None.
    """

    name: str
    run: Callable[[Place], State | None]
    after: Callable[[State], State] = dict
    start: str = "full"
    is_open: bool = True
    frames: int | None = None
    """From how many pages in the log a checkpoint follows a commit; None: as ever."""
    first: Callable[[Store[Any]], Any] | None = None
    """What is done to the open store before anything fails."""
    given: Callable[[State], State] = dict
    """And what it holds then."""

    @property
    def before(self) -> State:
        return self.given(BEFORE) if self.start == "full" else {}

    @contextmanager
    def started(self, place: Place) -> Iterator[State]:
        """The place as it is just before the operation; what its store holds."""
        place.reset(self.start)
        held = sqlite_checkpoints.LOG_FRAMES
        try:
            if self.is_open:
                store = place.open()
                store["list"] = BEFORE["list"]  # the log is there, the key is known
                if self.first is not None:
                    self.first(store)
            if self.frames is not None:
                sqlite_checkpoints.LOG_FRAMES = self.frames
            yield self.before
        finally:
            sqlite_checkpoints.LOG_FRAMES = held


def plain(value: Any) -> Any:
    """A value that `==` compares as a whole."""
    return ("array", value.tolist()) if type(value).__module__ == "numpy" else value


def contents(store: Store[Any]) -> State:
    return {name: plain(value) for name, value in store.items()}


def _writing(write: Callable[[Store[Any]], Any]) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        write(place.open())

    return run


def _with(**values: Any) -> Callable[[State], State]:
    return lambda before: before | values


def _less(*names: str) -> Callable[[State], State]:
    return lambda before: {name: value for name, value in before.items() if name not in names}


def _edit(s: Store[Any]) -> None:
    with s.edit("list") as values:
        values.append("new")


def _transaction(s: Store[Any]) -> None:
    with s.transaction():
        s["new"] = 1
        del s["small"]
        s["long"] = LONGER
        s["in a file"] = 2
        with s.transaction():
            s["inner"] = LONG


def _several(before: State) -> State:
    return _less("small")(before) | {"new": 1, "long": LONGER, "in a file": 2, "inner": LONG}


def _delete(name: str) -> Callable[[Store[Any]], None]:
    return lambda s: s.__delitem__(name)


def _set(name: str, value: Any) -> Callable[[Store[Any]], None]:
    return lambda s: s.__setitem__(name, value)


def _array(s: Store[Any]) -> None:
    import numpy as np

    s.put("array", np.arange(400), codec="numpy")


def _lock(s: Store[Any]) -> None:
    with s.lock("of the program's"):
        pass


def _backup(s: Store[Any]) -> None:
    """Beside the store; what a fault left of one that failed is removed, and one that succeeded is whole."""
    target = f"{s.location}.backup"
    s.backup(target)
    with Store(target, mode="r", trust="own", clock=lambda: NOW + 10) as copy:
        assert contents(copy) == contents(s)


def _create(place: Place) -> None:
    place.open()


def _create_and_set(place: Place) -> None:
    place.open()["new"] = 1


def _create_and_set_large(place: Place) -> None:
    place.open()["long"] = LONG


def _open(place: Place) -> State:
    return {"small": place.open()["small"]}


def _open_to_read(place: Place) -> State:
    with place.opened(mode="r", cache_bytes=0) as s:
        return {"small": s["small"], "in a file": s["in a file"]}


def _on_asyncio(place: Place) -> State:
    """By a thread of its own, which has to be made."""

    async def main() -> State:
        async with AsyncStore[Any](place.path, clock=lambda: NOW + 10, spill_bytes=SPILL_BYTES, timeout=TIMEOUT) as s:
            return {"small": await s.getitem("small")}

    os.environ["XDG_DATA_HOME"] = str(place.data)
    return asyncio.run(main())


def _read(place: Place) -> State:
    with place.opened(cache_bytes=0) as s:
        return {"small": s["small"], "list": s["list"]}


def _read_files(place: Place) -> State:
    s = place.open()
    return {"in a file": s["in a file"], "other": s["other"]}


def _read_all(place: Place) -> State:
    s = place.open()
    found = contents(s)
    assert set(s.names()) == set(found) and len(s) == len(found)
    return found


def _verify(place: Place) -> State | None:
    return None if place.open().verify().ok else {}


def _array_read(place: Place) -> State:
    return {"array": plain(place.open()["array"])}


def _wide(s: Store[Any]) -> None:
    """More than SQLite's page cache holds (2 MB), so that it writes to the log before the commit."""
    s.update(_WIDE)


_WIDE = {f"wide {i}": "w" * 900 for i in range(2500)}
_ROUND = {f"many {i}": i for i in range(MANY)}
_NEW = _writing(_set("new", 1))
_ARRAY = ("array", list(range(400)))

OPERATIONS: tuple[Operation, ...] = (
    Operation("set of a new record", _NEW, _with(new=1)),
    Operation("set of a record that is there", _writing(_set("small", 2)), _with(small=2)),
    Operation("delete", _writing(_delete("small")), _less("small")),
    Operation("pop", _writing(lambda s: s.pop("list")), _less("list")),
    Operation("edit", _writing(_edit), _with(list=["old", "new"])),
    Operation("modify", _writing(lambda s: s.modify("small", lambda _: "new")), _with(small="new")),
    Operation("transaction", _writing(_transaction), _several),
    Operation("update", _writing(lambda s: s.update(_ROUND, long=LONG)), _with(**_ROUND, long=LONG)),
    Operation("update larger than the cache", _writing(_wide), _with(**_WIDE)),
    Operation("clear", _writing(lambda s: s.clear()), lambda _: {}),
    Operation("touch", _writing(lambda s: s.touch("in a file", 1e9))),
    Operation("set of a value in a file", _writing(_set("long", LONGER)), _with(long=LONGER)),
    Operation("set that replaces one", _writing(_set("in a file", LONGER)), _with(**{"in a file": LONGER})),
    Operation("delete of one", _writing(_delete("in a file")), _less("in a file")),
    Operation("purge", _writing(lambda s: s.purge())),
    Operation("compact", _writing(lambda s: s.compact()), first=_delete("other"), given=_less("other")),
    Operation("backup", _writing(_backup)),
    Operation("set and checkpoint", _NEW, _with(new=1), frames=1),
    Operation("delete of a value in a file and checkpoint", _writing(_delete("other")), _less("other"), frames=1),
    Operation("named lock", _writing(_lock)),
    Operation("open", _open, is_open=False),
    Operation("open to read", _open_to_read, is_open=False),
    Operation("making a store", _create, start="empty", is_open=False),
    Operation("making a store and a key", _create_and_set, _with(new=1), start="nothing", is_open=False),
    Operation("making a store and its folder of files", _create_and_set_large, _with(long=LONG), start="empty", is_open=False),
    Operation("read", _read, is_open=False),
    Operation("read of values in files", _read_files),
    Operation("read of everything", _read_all),
    Operation("verify", _verify),
)  # fmt: skip

if find_spec("numpy") is not None:
    OPERATIONS += (
        Operation("set of an array", _writing(_array), _with(array=_ARRAY)),
        Operation("read of an array", _array_read, first=_array, given=_with(array=_ARRAY)),
    )


THREADED = (Operation("read on asyncio", _on_asyncio, is_open=False),)
"""Apart from the others: a thread that is to be made needs more memory than they may have where memory is scarce."""


def _two_writes(s: Store[Any]) -> None:
    s["new"] = 1
    s["newer"] = LONG


def _plain_error(place: Place) -> None:
    os.unlink(place.folder / "app.db.lock")


def _swallowed(s: Store[Any]) -> None:
    try:
        s["new"] = 1
    except OSError:
        pass


CONTROLS: tuple[Operation, ...] = (
    Operation("swallows the error", _writing(_swallowed), _with(new=1)),
    Operation("does half", _writing(_two_writes), _with(new=1, newer=LONG)),
    Operation("raises what the system raises", _plain_error),
)
"""These break what the others keep: trials of them must fail."""


def operation_called(name: str) -> Operation:
    (found,) = [operation for operation in OPERATIONS + THREADED + CONTROLS if operation.name == name]
    return found
