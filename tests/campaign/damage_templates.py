"""Sound stores of several shapes, as bytes: what is damaged, and what was stored."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from store import Store, allow

from .sqlite_pages import Owner, owners_of

KEY = b"the key of these tests"
NOW = 1_800_000_000.0
SPILL_BYTES = 2000

State = dict[Owner, Any]


@allow
class Buffered:
    """A value with a buffer of its own, as an array has one, and no library."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Buffered, (pickle.PickleBuffer(self.data),)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Buffered) and bytes(self.data) == bytes(other.data)

    __hash__ = None  # type: ignore[assignment]


@dataclass
class Template:
    """A store at rest.

    `files` are by what their names have behind that of the database. `states` are what it held after each commit that
    is in the log, the last one what it holds, and `log_ends` where in the log each of them ends.
    """

    key: str
    files: dict[str, bytes]
    states: list[State]
    log_ends: list[int] = field(default_factory=list)
    store_id: bytes = b""
    owners: dict[str, list[Owner | None]] = field(default_factory=dict)
    """By file, whose payload each byte is."""
    cells: dict[str, list[Owner | None]] = field(default_factory=dict)
    """The same of all that belongs to a record."""
    older: dict[Owner, list[Any]] = field(default_factory=dict)
    """Values that records had before: what SQLite frees it leaves where it is."""
    expired: set[Owner] = field(default_factory=set)

    @property
    def state(self) -> State:
        return self.states[-1]

    def owners_in(self, file: str, start: int, end: int) -> set[Owner | None]:
        """Whose bytes those are; None: of none alone."""
        return set(self.owners[file][start:end]) if file in self.owners else {None}


class Recorder:
    """Writes to a store and to the template that is made of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state: State = {}
        self.older: dict[Owner, list[Any]] = {}
        self.expired: set[Owner] = set()
        self.states: list[State] = []
        self.log_ends: list[int] = []
        self.now = NOW
        self.store = self.open()
        self.store_id = self.store.opened.engine.id

    def open(self, **options: Any) -> Store[Any]:
        return Store(self.path, key=KEY, clock=lambda: self.now, **options)

    def put(self, namespace: str, name: str, value: Any, ttl: float | None = None) -> None:
        owner = namespace, name
        if owner in self.state:
            self.older.setdefault(owner, []).append(self.state[owner])
        self.store.within(namespace).put(name, value, ttl=ttl)
        if ttl is None or self.now + ttl > NOW:
            self.state[owner] = value
        else:
            self.older.setdefault(owner, []).append(value)
            self.expired.add(owner)
        self.committed()

    def delete(self, namespace: str, name: str) -> None:
        del self.store.within(namespace)[name]
        self.older.setdefault((namespace, name), []).append(self.state.pop((namespace, name)))
        self.committed()

    def committed(self) -> None:
        log = Path(f"{self.path}-wal")
        self.states.append(dict(self.state))
        self.log_ends.append(log.stat().st_size if log.exists() else 0)

    def folded(self, key: str) -> Template:
        """All in the database: the last connection folds the log in."""
        self.store.close()
        template = Template(key, self._files(), [self.state], older=self.older, expired=self.expired)
        template.store_id = self.store_id
        template.owners[""], template.cells[""] = owners_of(self.path)
        for file in template.files:
            if file.startswith("-spill/"):
                prefixes = {self.store_prefix(*owner): owner for owner in self.state}
                owner = prefixes[file.removeprefix("-spill/").partition("-")[0]]
                template.owners[file] = template.cells[file] = [owner] * len(template.files[file])
        return template

    def unfolded(self, key: str) -> Template:
        """As the file is where the process is killed now: the newest commits are in the log alone."""
        files = self._files()
        self.store.close()
        return Template(key, files, self.states, self.log_ends, older=self.older)

    def fold(self) -> None:
        self.store.close()
        self.states, self.log_ends = [dict(self.state)], [0]
        self.store = self.open()

    def store_prefix(self, namespace: str, name: str) -> str:
        from store.rows.spilled import prefix_of

        return prefix_of(self.store_id, namespace, name)

    def _files(self) -> dict[str, bytes]:
        found = {"": self.path.read_bytes()}
        log, folder = Path(f"{self.path}-wal"), Path(f"{self.path}-spill")
        if log.exists():
            found["-wal"] = log.read_bytes()
        for file in sorted(os.listdir(folder)) if folder.exists() else []:
            found[f"-spill/{file}"] = (folder / file).read_bytes()
        return found


def _small(number: int) -> dict[str, Any]:
    return {"n": number, "text": "x" * (40 + number % 7 * 30), "list": [number] * 5}


def few(r: Recorder) -> Template:
    """A dozen records, each table and index one page."""
    for number in range(12):
        r.put("", f"name {number}", _small(number))
    return r.folded("few")


def deep(r: Recorder) -> Template:
    """Names so long that the index by them has interior pages, as has the table."""
    for number in range(60):
        r.put("", f"{number:03} {'long ' * 40}", _small(number))
    return r.folded("deep")


def chained(r: Recorder) -> Template:
    """Bodies that go on in overflow pages."""
    for number in range(8):
        r.put("", f"name {number}", [number, "x" * (3000 + 4000 * (number % 3))])
    return r.folded("chained")


def several(r: Recorder) -> Template:
    """Namespaces, lifetimes, records that have expired, and free pages of those that were deleted."""
    for number in range(24):
        r.put(("", "a", "ä")[number % 3], f"name {number}", _small(number), ttl=1000 if number % 4 == 0 else None)
    for number in range(24, 34):
        r.put("", f"gone {number}", "x" * 1500)
    for number in range(24, 34):
        r.delete("", f"gone {number}")
    for number in range(6):
        r.put("a", f"name {1 + 3 * number}", _small(100 + number), ttl=1000 if number % 2 else None)
    r.now = NOW - 5000
    for number in range(4):
        r.put("ä", f"expired {number}", _small(number), ttl=1000)
    r.now = NOW
    return r.folded("several")


def beside(r: Recorder) -> Template:
    """Bodies and buffers in files."""
    r.store.close()
    r.store = r.open(spill_bytes=SPILL_BYTES)
    for number in range(3):
        r.put("", f"body {number}", ["x" * 3000, number])
        r.put("", f"buffer {number}", Buffered(bytearray([number]) * 5000))
        r.put("", f"small {number}", _small(number))
    return r.folded("beside")


def logged(r: Recorder) -> Template:
    """The process that wrote it was killed: the log holds what the database does not."""
    for number in range(6):
        r.put("", f"name {number}", _small(number))
    r.fold()
    for number in range(3, 12):
        r.put("", f"name {number}", _small(100 + number))
    r.delete("", "name 0")
    return r.unfolded("logged")


MAKERS: dict[str, Callable[[Recorder], Template]] = {
    make.__name__: make for make in (few, deep, chained, several, beside, logged)
}


def make(key: str, folder: Path) -> Template:
    """The template of that name, made in an empty folder."""
    return MAKERS[key](Recorder(folder / f"{key}.db"))
