"""A store's records for other programs: JSON lines, a shelf of the standard library, or a folder of pickles.

    from store import Store
    from store.export import export_to

    with Store("app.db", mode="r") as s:
        for record in export_to(s, "pickles", "copies"):
            print(record.name, record.outcome, record.why)

On the command line: `store export pickles app.db copies`. `store import` takes all of these back.

An export is complete or not there at all, and never in place of another file. Records that cannot be read, or that
the form cannot hold, are left out and reported. A shelf and pickles have no expiry; JSON lines keep it. Reading a
shelf or a pickle with the standard library runs its code: give them to people who trust you.
"""

from __future__ import annotations

import dbm.dumb
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from store.care.foreign import as_json, pickled
from store.errors import CodecUnavailable, NotSerializable, RecordError, StorageError, Untrusted, label
from store.mapping.store import Store
from store.opened.arguments import check_name
from store.system.syncing import sync_file, sync_folder

Write = Callable[[str, Any, "float | None"], object]
"""Writes a record: name, value, expiry. Raises: NotSerializable, NoRoom: the form cannot hold it."""

SUFFIX = ".pickle"
SHELF_SUFFIXES = ("", ".dat", ".dir", ".bak", ".db", ".pag")
MAX_FILE_NAME = 255  # bytes: https://pubs.opengroup.org/onlinepubs/9699919799/basedefs/limits.h.html


@dataclass(frozen=True, slots=True)
class Exported:
    """The outcome of one record.

    `outcome` is "exported", "refused" (another user's, and it takes a class that is not allowed) or "failed"; `why`
    is the reason.
    """

    name: str
    outcome: str
    why: str = ""


def export_to(store: Store[Any], kind: str, path: str | os.PathLike[str], *, prefix: str = "") -> Iterator[Exported]:
    """Write the records of the store's namespace, as the result is read to its end; one result for each.

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
    target = os.path.abspath(os.fsdecode(path))
    for suffix in SHELF_SUFFIXES if kind == "shelve" else ("",):
        _check_free(target + suffix)
    return _export(store, WRITERS[kind], target, prefix)


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
    except NotSerializable as exc:  # its message is about codecs, which are not an option here
        why = exc.message.partition("; use the codec")[0].partition("; convert it")[0]
        raise NotSerializable(f"{why}; a shelf and pickles can hold it", path=exc.path) from exc.__cause__


def _export(store: Store[Any], writer: Writer, target: str, prefix: str) -> Iterator[Exported]:
    with _temporary_beside(target) as folder, writer(folder, target) as write:
        yield from _records(store, write, prefix)


def _records(store: Store[Any], write: Write, prefix: str) -> Iterator[Exported]:
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


# -- the forms


@contextmanager
def json_lines(folder: str, target: str) -> Iterator[Write]:
    """One line for each record."""
    lines = os.path.join(folder, "lines")
    with open(lines, "x", encoding="ascii") as file:
        yield lambda name, value, expires: file.write(json_line(name, value, expires) + "\n")
    _move(lines, target)


@contextmanager
def shelf(folder: str, target: str) -> Iterator[Write]:
    """The two files of dbm.dumb, the one dbm module that every Python has; `shelve.open(target)` finds them."""
    made = os.path.join(folder, "shelf")
    with dbm.dumb.open(made, "n") as db:
        yield lambda name, value, expires: db.__setitem__(name.encode(), pickled(value))
    _move(made + ".dat", target + ".dat")
    try:
        _move(made + ".dir", target + ".dir")
    except BaseException:
        os.unlink(target + ".dat")  # alone it is no shelf
        raise


@contextmanager
def pickles(folder: str, target: str) -> Iterator[Write]:
    """A file for each record, named after it with percent escapes: `/` is `%2F`, so none leaves the folder."""
    files = os.path.join(folder, "files")
    os.mkdir(files)
    yield lambda name, value, expires: _write_pickle(files, name, value)
    _check_free(target)  # a rename would replace an empty folder
    for name in os.listdir(files):  # only now: the system has written most of them meanwhile
        _sync(os.path.join(files, name))
    sync_folder(files)
    os.rename(files, target)
    sync_folder(os.path.dirname(target))


def _write_pickle(folder: str, name: str, value: Any) -> None:
    file_name = quote(name, safe="") + SUFFIX
    if len(file_name) > MAX_FILE_NAME:
        raise NoRoom("its name is too long for that of a file; JSON lines and a shelf can hold it")
    data = pickled(value)
    try:
        with open(os.path.join(folder, file_name), "xb") as file:
            file.write(data)
    except FileExistsError:  # where A and a are the same to the file system
        raise NoRoom("to this file system another name is the same; JSON lines and a shelf can hold it") from None


Writer = Callable[[str, str], AbstractContextManager[Write]]
"""Of a temporary folder and the target: gives the function that writes, and moves the result to the target."""

WRITERS: dict[str, Writer] = {"jsonl": json_lines, "shelve": shelf, "pickles": pickles}


# -- files


@contextmanager
def _temporary_beside(target: str) -> Iterator[str]:
    folder, name = os.path.split(target)
    try:
        made = tempfile.mkdtemp(prefix=f".{name[:100]}.", suffix=".tmp", dir=folder)
    except OSError as exc:
        why = f"nothing can be written to {folder}: {exc.strerror}"
        raise StorageError(why, errno=exc.errno, path=folder) from exc
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _check_free(path: str) -> None:
    if os.path.lexists(path):
        raise FileExistsError(17, "is there already, and is not overwritten", path)


def _move(file: str, target: str) -> None:
    """Sync a file and move it to a place that is free: a rename would replace another file."""
    _sync(file)
    try:
        os.link(file, target)
    except OSError:  # there is another file, or the file system has no links
        _check_free(target)
        os.rename(file, target)
    sync_folder(os.path.dirname(target))


def _sync(path: str) -> None:
    with open(path, "rb+") as file:
        sync_file(file)
