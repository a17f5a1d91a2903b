"""Opens a damaged database as plain bytes: SQLite may not be able to open it, and nothing may be changed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from store.engines.sqlite.engine import wal_index
from store.engines.sqlite.opening import companions
from store.engines.sqlite.opening.attach import is_attached
from store.engines.sqlite.salvage.image import Image
from store.errors import LockTimeout, ReadOnly, StorageError, StoreError, StoreNotFound
from store.system.descriptors import BINARY, READ, Descriptor
from store.system.file_status import reaching, stamp_of
from store.system.locking import locked

_kept: list[int] = []  # descriptors of files that this process also opened as a store


class Source:
    """The image of a database, and whether the files have changed since it was read."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._stamps = _stamps(path)
        self.image = Image(descriptor, path, _contents_of(path + "-wal"), _contents_of(path + "-journal"))

    def rights(self) -> os.stat_result:
        """The status of the database."""
        return os.fstat(self._descriptor)

    def check_unchanged(self) -> None:
        """Raises: StorageError: a program wrote to it since it was opened."""
        if _stamps(self.path) != self._stamps:
            raise StorageError(
                f"{self.path} was written to while it was read; stop the programs that use it, and try again",
                errno=errno.EBUSY,
                path=self.path,
            )


@contextmanager
def opened(path: str, timeout: float) -> Iterator[Source]:
    """The database at `path`. Writers of this library wait meanwhile.

    Raises:
        StoreNotFound, StorageError. StoreError: this process has it open. LockTimeout: a program is writing to it.
    """
    path = os.path.realpath(path)
    _check_ours(path)
    companions.check(path, writes=False)
    with ExitStack() as stack, reaching(path):
        if os.path.exists(path + ".lock"):  # otherwise no writer of this library exists, and no lock file is created
            with suppress(ReadOnly):
                _lock(stack, path, timeout)
        descriptor = os.open(path, READ | BINARY)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise StorageError(f"{path} is not a regular file", errno=errno.EINVAL, path=path)
            yield Source(path, descriptor)
        finally:
            _close(descriptor)


def _lock(stack: ExitStack, path: str, timeout: float) -> None:
    try:
        stack.enter_context(locked(path + ".lock", timeout))
    except LockTimeout as exc:
        raise LockTimeout(
            f"{path} is being written to; stop the programs that use it, and try again", path=path
        ) from exc


def _check_ours(path: str) -> None:
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise StoreNotFound(f"there is no file {path}", errno=errno.ENOENT, path=path) from None
    if is_attached((status.st_dev, status.st_ino)):
        raise StoreError(f"{path} is open in this program; close it first, so that its bytes can be read")


def _close(descriptor: int) -> None:
    """Close it, unless this process has the file open: closing any descriptor drops SQLite's locks on the file."""
    with wal_index.opening():
        status = os.fstat(descriptor)
        if is_attached((status.st_dev, status.st_ino)):
            _kept.append(descriptor)
        else:
            os.close(descriptor)


def _stamps(path: str) -> list[tuple[int, ...] | None]:
    return [stamp_of(path + suffix) for suffix in ("", "-wal", "-journal")]


def _contents_of(path: str) -> bytes:
    """All bytes of a file beside a database; empty if there is none. Raises: OSError: it is not a regular file."""
    try:
        descriptor = Descriptor(path, READ)
    except FileNotFoundError:
        return b""
    with descriptor as number:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", path)
        with open(number, "rb", closefd=False) as file:
            return file.read()
