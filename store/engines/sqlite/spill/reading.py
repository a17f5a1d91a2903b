"""Reads the files of a record, mapped or copied; each is checked before a byte of it is used."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from store.engines.sqlite.spill.folder import Folder
from store.engines.sqlite.spill.mapping import map_file
from store.errors import Corrupt, StorageError
from store.rows.spilled import Part, checksum
from store.system.descriptors import READ
from store.system.refusals import advice

CHUNK_BYTES = 8 * 1024 * 1024


def copied(folder: Folder, part: Part) -> bytes:
    """The content in private memory, checked against its checksum.

    Raises:
        Corrupt: the file is missing, truncated or altered, or not a file of ours. StorageError: it cannot be read.
    """
    buffer = io.BytesIO()  # `getvalue` returns its bytes without a copy, if it has exactly their size
    if part.bytes:
        buffer.seek(part.bytes - 1)
        buffer.write(b"\0")
    with _opened(folder, part) as (descriptor, _), buffer.getbuffer() as view:
        _fill(folder, part, descriptor, view)
        _check(folder, part, view)
    return buffer.getvalue()


def private(folder: Folder, part: Part, *, verify: bool) -> memoryview:
    """The content in private memory that may be written, compared with its checksum if asked. Raises: as `copied`."""
    with _opened(folder, part) as (descriptor, is_ours):
        view = memoryview(bytearray(part.bytes))
        _fill(folder, part, descriptor, view)
        if verify or not is_ours:
            _check(folder, part, view)
        return view


def mapped(folder: Folder, part: Part, *, verify: bool) -> memoryview:
    """The file itself, mapped read-only; the map stays valid when it is removed. Raises: as `copied`.

    A file of another user is copied and compared: its owner could change it, or truncate it, which would end the
    process.
    """
    with _opened(folder, part) as (descriptor, is_ours):
        if is_ours and part.bytes:
            try:
                view = map_file(descriptor, part.bytes)
            except OSError as exc:
                if exc.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENODEV):
                    raise
            else:
                if verify:
                    _check(folder, part, view)
                return view
    return private(folder, part, verify=verify).toreadonly()


def problem_of(folder: Folder, part: Part, *, content: bool = True) -> str | None:
    """The problem of a file, with `content` also of its bytes, compared in little memory; None if it is sound."""
    try:
        if not content:
            with _opened(folder, part):
                return None
        for _ in chunks(folder, part):
            pass
    except Corrupt as exc:
        return exc.message
    return None


def chunks(folder: Folder, part: Part) -> Iterator[bytes]:
    """The content piece by piece; the checksum is compared only at the end. Raises: as `copied`."""
    with _opened(folder, part) as (descriptor, _):
        state = checksum()
        while chunk := os.read(descriptor, CHUNK_BYTES):
            state.update(chunk)
            yield chunk
        if state.hexdigest() != part.checksum:
            raise _altered(folder, part)


@contextmanager
def _opened(folder: Folder, part: Part) -> Iterator[tuple[int, bool]]:
    """Its descriptor, and whether only this user and the owner of the database can change it."""
    try:
        with folder.opened() as above:
            opened = above.open(part.file, READ)
    except FileNotFoundError as exc:
        raise _corrupt(folder, part, "is missing") from exc
    except StorageError:  # it is the folder
        raise
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise _corrupt(folder, part, "is a link, and was not followed") from exc
        raise _unreadable(folder, part, exc) from exc
    try:
        descriptor = opened.number
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _corrupt(folder, part, "is no regular file")
        if status.st_size != part.bytes:
            what = "truncated" if status.st_size < part.bytes else "longer than it was written"
            raise _corrupt(folder, part, f"is {what}: it has {status.st_size} bytes, and {part.bytes} belong there")
        yield descriptor, not hasattr(os, "geteuid") or status.st_uid in _owners(folder)
    except OSError as exc:
        raise _unreadable(folder, part, exc) from exc
    finally:
        opened.close()


def _owners(folder: Folder) -> set[int]:
    owners = {0, os.geteuid()}
    try:
        owners.add(folder.rights().st_uid)
    except OSError:  # it was removed; the next access reports that
        pass
    return owners


def _fill(folder: Folder, part: Part, descriptor: int, view: memoryview) -> None:
    done = 0
    with open(descriptor, "rb", buffering=0, closefd=False) as file:
        while done < len(view):
            count = file.readinto(view[done : done + CHUNK_BYTES])
            if not count:
                raise _corrupt(folder, part, "was truncated while it was read")
            done += count


def _check(folder: Folder, part: Part, view: memoryview) -> None:
    if checksum(view).hexdigest() != part.checksum:
        raise _altered(folder, part)


def _altered(folder: Folder, part: Part) -> Corrupt:
    return _corrupt(folder, part, "is altered: its content does not match its checksum")


def _corrupt(folder: Folder, part: Part, what: str) -> Corrupt:
    path = os.path.join(folder.path, part.file)
    return Corrupt(f"its file {path} {what}; restore it from a backup, or delete the record", file=path)


def _unreadable(folder: Folder, part: Part, exc: OSError) -> StorageError:
    path = os.path.join(folder.path, part.file)
    return StorageError(
        f"{path} cannot be read: {exc.strerror}; {advice(exc, 'try again')}", errno=exc.errno, path=path
    )


def contents(folder: Folder, part: Part) -> bytes | None:
    """The bytes of a file, unchecked, for a complete export; None if it is missing."""
    try:
        with folder.opened() as above:
            opened = above.open(part.file, READ)
    except OSError:
        return None
    with opened as descriptor, open(descriptor, "rb", buffering=0, closefd=False) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return file.readall()
