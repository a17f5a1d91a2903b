"""A private copy of a database, for readers that cannot read it in its place."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import weakref
from contextlib import closing

from store.engines.sqlite.opening import companions
from store.engines.sqlite.opening.connection import connect
from store.engines.sqlite.opening.strategy import FROZEN, Connect, Opening
from store.engines.sqlite.refusals import why_not_opened
from store.errors import StorageError
from store.system.descriptors import READ, Descriptor
from store.system.file_status import LOOK_AT_LOG, stamp_of
from store.system.refusals import advice

COPY_ATTEMPTS = 10
_CHUNK_BYTES = 1024 * 1024
_SUFFIXES = ("", "-wal", "-journal")


def private_copy(path: str) -> Opening:
    """Opens connections to a copy of the current database and logs. Raises: StorageError: it cannot be made."""
    return Opening(_on_private_copy(path), FROZEN)


def _on_private_copy(path: str) -> Connect:
    """A function that opens the copy, which is made now and deleted with that function.

    Copying closes descriptors of the database, which would drop the locks of SQLite connections in this process.
    There are none: they would have made the `-shm` file, and a copy is only made without it.
    """
    import shutil  # here and below: 6 ms that few readers need
    import tempfile

    folder = tempfile.mkdtemp(prefix="store-")
    copy = os.path.join(folder, "copy.db")
    try:
        _copy_whole(path, copy)
        with closing(connect(copy)) as conn:  # applies the journal, or recovers the WAL
            conn.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
    except (OSError, sqlite3.Error) as exc:
        shutil.rmtree(folder, ignore_errors=True)
        raise _unread(path, exc) from exc

    def open_() -> sqlite3.Connection:
        return connect(copy, "mode=ro")

    weakref.finalize(open_, _remove, folder, os.getpid())
    return open_


def _unread(path: str, exc: OSError | sqlite3.Error) -> StorageError:
    refused = why_not_opened(path)
    if refused is not None:
        return StorageError(f"{path}: {refused[1]} ({exc})", errno=refused[0], path=path)
    return StorageError(
        f"{path} cannot be read where it lies, nor copied ({exc}); "
        f"{advice(exc, LOOK_AT_LOG) if isinstance(exc, OSError) else LOOK_AT_LOG}",
        errno=getattr(exc, "errno", None),
        path=path,
    )


def _copy_whole(path: str, copy: str) -> None:
    """Copy database and logs as of one moment, by comparing and retrying: no lock keeps writers out."""
    for _ in range(COPY_ATTEMPTS):
        companions.check_logs(path, writes=False)
        before = _stamps(path)
        for suffix, stamp in zip(_SUFFIXES, before, strict=True):
            if stamp is not None:
                copy_file(path + suffix, copy + suffix)
            elif os.path.exists(copy + suffix):
                os.unlink(copy + suffix)
        if _stamps(path) == before:
            return
    raise OSError(errno.EBUSY, "it is being written all the time; try again")


def _stamps(path: str) -> list[tuple[int, ...] | None]:
    return [stamp_of(path + suffix) for suffix in _SUFFIXES]


def _remove(folder: str, owner: int) -> None:
    """Remove a private copy, in the process that made it and not in a forked child."""
    import shutil

    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def copy_file(source: str, target: str) -> None:
    """Copy a database or a file beside it; of a journal, without the name of another file.

    Raises:
        OSError: it cannot be read or written.
    """
    with Descriptor(source, READ) as number, open(target, "wb") as out:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", source)
        while data := os.read(number, _CHUNK_BYTES):
            out.write(data)
        out.flush()
        size = os.fstat(out.fileno()).st_size
        if source.endswith("-journal") and size >= len(companions.SUPER_MAGIC):
            # Zeros name no file; if the name were cut off, bytes before it could be read as another name.
            with open(target, "rb") as made:
                made.seek(size - len(companions.SUPER_MAGIC))
                if made.read() == companions.SUPER_MAGIC:
                    out.seek(size - len(companions.SUPER_MAGIC))
                    out.write(bytes(len(companions.SUPER_MAGIC)))
