"""A store's records for other programs: JSON lines, a shelf of the standard library, or a folder of pickles.

    from store import Store
    from store.export import export_to

    with Store("app.db", mode="r") as s:
        for record in export_to(s, "pickles", "copies"):
            print(record.name, record.outcome, record.why)

On the command line: `store export pickles app.db copies`. `store import` takes all of these back.

What is written is there in full or not at all, and never in place of anything. Records that cannot be read, or that
the form cannot hold, are left out and reported. A shelf and pickles have no expiry; JSON lines keep it. Whoever reads
a shelf or a pickle with the standard library runs what it says: give them to people who trust you.
"""

from __future__ import annotations

import dbm.dumb
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol
from urllib.parse import quote

from store.care.foreign import as_json, pickled
from store.errors import CodecUnavailable, NotSerializable, RecordError, StorageError, Untrusted, label
from store.mapping.store import Store
from store.opened.arguments import check_name
from store.system.syncing import sync_file, sync_folder

SUFFIX = ".pickle"
MAX_FILE_NAME = 255  # bytes: https://pubs.opengroup.org/onlinepubs/9699919799/basedefs/limits.h.html


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of one record.

    `outcome` is "exported", "refused" (somebody else's, and it takes a class that is not allowed) or "failed";
    `why` says what stood in the way.
    """

    name: str
    outcome: str
    why: str = ""


class Writer(Protocol):
    """Writes records into a temporary place, and then to the one that was asked for."""

    def __init__(self, path: str) -> None: ...

    def write(self, name: str, value: Any, expires: float | None) -> None:
        """Raises: NotSerializable, ValueError: the form cannot hold the record."""

    def publish(self) -> None:
        """Puts all of it in its place. Raises: FileExistsError: something else is there by now."""

    def discard(self) -> None:
        """Removes what was written and not published."""


def export_to(store: Store[Any], kind: str, path: str | os.PathLike[str], *, prefix: str = "") -> Iterator[Exported]:
    """Writes the records of the store's namespace, as the result is read to its end; one result for each.

    Args:
        kind: "jsonl", "shelve" or "pickles".
        path: where it goes; nothing may be there yet. For a shelf the name to give to `shelve.open`.
        prefix: only names that begin so.

    Raises:
        ValueError: there is no such kind. FileExistsError: something is there. StorageError, OSError.
    """
    if kind not in WRITERS:
        raise ValueError(f"unknown kind {kind!r}: one of {', '.join(WRITERS)}")
    check_name(prefix, "prefix")
    where = os.path.abspath(os.fsdecode(path))
    return _export(store, WRITERS[kind](where), prefix)


def export_lines(store: Store[Any], write: Callable[[str], object], *, prefix: str = "") -> Iterator[Exported]:
    """As `export_to` of the kind "jsonl", each line given to `write`."""
    return _records(store, lambda name, value, expires: write(json_line(name, value, expires)), prefix)


def json_line(name: str, value: Any, expires: float | None) -> str:
    """A record as a JSON object, in ASCII. Raises: NotSerializable: JSON would change the value."""
    until = "" if expires is None else f', "expires": {json.dumps(expires)}'
    return f'{{"name": {json.dumps(name)}, "value": {json.dumps(json.loads(_lossless(value)))}{until}}}'


def _lossless(value: Any) -> str:
    try:
        return as_json(value)
    except NotSerializable as exc:  # its message speaks of codecs, which nobody chose here
        why = exc.message.partition("; use the codec")[0].partition("; convert it")[0]
        raise NotSerializable(f"{why}; a shelf and pickles can hold it", path=exc.path) from exc.__cause__


def _export(store: Store[Any], writer: Writer, prefix: str) -> Iterator[Exported]:
    try:
        yield from _records(store, writer.write, prefix)
        writer.publish()
    finally:
        writer.discard()


def _records(store: Store[Any], write: Callable[[str, Any, float | None], object], prefix: str) -> Iterator[Exported]:
    for name in store:
        if not name.startswith(prefix):
            continue
        try:
            expires = store.record(name).expires
            write(name, store[name], None if expires is None else expires.timestamp())
        except KeyError:  # deleted since its name was read
            continue
        except MemoryError:
            yield Exported(name, "failed", "there is not enough memory for it")
        except (RecordError, CodecUnavailable, NoRoom) as exc:
            outcome = "refused" if isinstance(exc, Untrusted) else "failed"
            yield Exported(name, outcome, str(exc).removeprefix(f"{label(name, store.namespace)}: "))
        else:
            yield Exported(name, "exported")


class NoRoom(Exception):
    """The form has no place for a record of that name."""


class _Hidden:
    """A temporary folder beside the place that the result goes to."""

    beside: ClassVar[tuple[str, ...]] = ("",)  # the suffixes of names that may not be taken

    def __init__(self, path: str) -> None:
        self._path = path
        for suffix in self.beside:
            if os.path.lexists(path + suffix):
                raise FileExistsError(17, "is there already, and is not overwritten", path + suffix)
        folder, name = os.path.split(path)
        try:
            self._folder = tempfile.mkdtemp(prefix=f".{name[:100]}.", suffix=".tmp", dir=folder)
        except OSError as exc:
            raise StorageError(
                f"nothing can be written to {folder}: {exc.strerror}", errno=exc.errno, path=folder
            ) from exc

    def discard(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _inside(self, name: str) -> str:
        return os.path.join(self._folder, name)

    def _move(self, name: str, target: str) -> None:
        """Gives a file its place, which a rename would take from whoever has it. Synced: it counts as a copy."""
        self._sync(name)
        try:
            os.link(self._inside(name), target)
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            if os.path.lexists(target):
                raise FileExistsError(17, "is there already, and is not overwritten", target) from None
            os.rename(self._inside(name), target)
        sync_folder(os.path.dirname(target))

    def _sync(self, name: str) -> None:
        with open(self._inside(name), "rb+") as file:
            sync_file(file)


class JsonLines(_Hidden):
    """One line for each record."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._file = open(self._inside("lines"), "x", encoding="ascii")  # noqa: SIM115

    def write(self, name: str, value: Any, expires: float | None) -> None:
        self._file.write(json_line(name, value, expires) + "\n")

    def publish(self) -> None:
        self._file.close()
        self._move("lines", self._path)

    def discard(self) -> None:
        self._file.close()
        super().discard()


class Shelf(_Hidden):
    """The two files of dbm.dumb, the one dbm module that every Python has; `shelve.open(path)` finds them."""

    beside = ("", ".dat", ".dir", ".bak", ".db", ".pag")

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._db = dbm.dumb.open(self._inside("shelf"), "n")  # noqa: SIM115

    def write(self, name: str, value: Any, expires: float | None) -> None:
        self._db[name.encode()] = pickled(value)

    def publish(self) -> None:
        self._db.close()
        self._move("shelf.dat", self._path + ".dat")
        try:
            self._move("shelf.dir", self._path + ".dir")  # without which the other is no shelf
        except BaseException:
            os.unlink(self._path + ".dat")
            raise

    def discard(self) -> None:
        self._db.close()
        super().discard()


class Pickles(_Hidden):
    """A file for each record, named after it with percent escapes: `/` is `%2F`, so none leaves the folder."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        os.mkdir(self._inside("files"))

    def write(self, name: str, value: Any, expires: float | None) -> None:
        file_name = quote(name, safe="") + SUFFIX
        if len(file_name) > MAX_FILE_NAME:
            raise NoRoom("its name is too long for that of a file; JSON lines and a shelf can hold it")
        data = pickled(value)
        try:
            with open(self._inside(f"files/{file_name}"), "xb") as file:
                file.write(data)
        except FileExistsError:  # where A and a are the same to the file system
            raise NoRoom("to this file system another name is the same; JSON lines and a shelf can hold it") from None

    def publish(self) -> None:
        if os.path.lexists(self._path):  # a rename would take the place of an empty folder
            raise FileExistsError(17, "is there already, and is not overwritten", self._path)
        for name in os.listdir(self._inside("files")):  # only now: the system has written most of them meanwhile
            self._sync(f"files/{name}")
        sync_folder(self._inside("files"))
        os.rename(self._inside("files"), self._path)
        sync_folder(os.path.dirname(self._path))


WRITERS: dict[str, type[JsonLines] | type[Shelf] | type[Pickles]] = {
    "jsonl": JsonLines,
    "shelve": Shelf,
    "pickles": Pickles,
}
