"""The files beside a database, looked at before SQLite opens it: a planted one could be used against the reader.

A rollback journal may end with the name of another file (a "super-journal"), which SQLite deletes once it has applied
the journal (https://www.sqlite.org/fileformat2.html#rollback_journal; pager_delsuper in its pager.c). A pipe in the
place of a file makes the reader wait, a link leads to a file that is none of the store's.

A look alone is too early: a journal may come between it and SQLite's first read. So where others can make files in
the folder, `guarded` holds a lock on the byte that SQLite asks about before it opens a journal: while anybody has it,
the journal is that of a live writer and is left alone (hasHotJournal in pager.c, unixCheckReservedLock in os_unix.c).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from store.engines.sqlite.engine import wal_index
from store.engines.sqlite.errors import busy
from store.errors import StorageError
from store.system import kept_locks
from store.system.deadlock import LINE_BYTES
from store.system.descriptors import Descriptor

LOGS = ("-journal", "-wal", "-shm")
FILES = (".lock", "-network", "-open")
FOLDERS = ("-spill", "-locks")

SUPER_MAGIC = bytes.fromhex("d9d505f920a163d7")  # the last bytes of a journal that names another file
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_RESERVED = 0x40000001, 1  # RESERVED_BYTE of SQLite's os.h
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_CHUNK_BYTES = 1024 * 1024

_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
    stat.S_IFREG: "a file",
}


def check(path: str, *, writes: bool) -> None:
    """Look at all that may lie beside the database at `path`, which has no links in it.

    `writes`: whether it will be opened for writing, when a file with several names is refused too.

    Raises:
        StorageError: something there is not what belongs there, or belongs to somebody who has no part in the store.
    """
    check_logs(path, writes=writes)
    check_own(path, writes=writes)


def check_own(path: str, *, writes: bool) -> None:
    """The same of what this library alone puts there, before a connection is opened, which looks at the rest."""
    for suffix in FILES:
        _check(path, suffix, stat.S_IFREG, writes=False)
    if writes:
        _check_lock_file(path + ".lock", path)
    for suffix in FOLDERS:
        _check(path, suffix, stat.S_IFDIR, writes=False)


def check_logs(path: str, *, writes: bool) -> bool:
    """The same of what SQLite opens: before each connection. Whether a journal is there that it would apply."""
    _check(path, "-wal", stat.S_IFREG, writes=writes)
    _check(path, "-shm", stat.S_IFREG, writes=True)  # SQLite cuts it off and writes into it, whoever reads
    return _check(path, "-journal", stat.S_IFREG, writes=writes) and _is_hot(path + "-journal")


def is_exposed(path: str) -> bool:
    """Whether anybody but this user and root can make files beside the database."""
    if not hasattr(os, "geteuid"):
        return False
    try:
        folder = os.stat(os.path.dirname(path) or ".")
    except OSError:  # whoever opens it says so
        return False
    return folder.st_uid not in (os.geteuid(), 0) or bool(folder.st_mode & _OTHERS_WRITE)


@contextmanager
def guarded(path: str, *, writes: bool) -> Iterator[None]:
    """In it, SQLite opens no rollback journal of the database, and nobody makes one that counts.

    Raises:
        sqlite3.OperationalError: somebody is writing with one. StorageError: it cannot be had, in a folder of all.
    """
    if not kept_locks.AVAILABLE:
        if writes:
            _check_folder(path)
        yield
        return
    with wal_index.opening():
        try:
            file = wal_index.hold(path)
        except OSError:  # it is new, and no journal is applied to an empty database; or SQLite says what ails it
            yield
            return
        try:
            with _reserved(file.number, path, writes=writes):
                yield
        finally:
            wal_index.let_go(file, at_once=True)


@contextmanager
def _reserved(descriptor: int, path: str, *, writes: bool) -> Iterator[None]:
    try:
        is_ours = kept_locks.share(descriptor, *_RESERVED)
    except OSError:  # a file system without such locks
        is_ours = False
        if writes:
            _check_folder(path)
    else:
        if not is_ours and writes:
            raise busy()
    try:
        yield
    finally:
        if is_ours:
            kept_locks.unlock(descriptor, *_RESERVED)


def check_recoverable(path: str) -> None:
    """Raises: StorageError: others can put another journal in the place of this one while SQLite opens it."""
    folder, journal = os.path.dirname(path), path + "-journal"
    try:
        found, above = os.lstat(journal), os.stat(folder)
    except OSError:
        return
    if _is_group_shared(above, found, path):
        return
    trusted = (os.geteuid(), 0)
    is_kept = not above.st_mode & _OTHERS_WRITE or (above.st_mode & stat.S_ISVTX and found.st_uid in trusted)
    if above.st_uid in trusted and is_kept:
        return
    raise StorageError(
        f"{journal} is in use, or a killed program left it, and in {folder} others can put another one in its place, "
        "which would make SQLite delete a file of this user's; open the store once as the user who owns that folder, "
        f"or take from others the right to write there (chmod go-w {folder})",
        errno=errno.EPERM,
        path=journal,
    )


def keep_journal(path: str) -> None:
    """Make an empty journal of our own, so that nobody else makes one; it stays. Raises: StorageError."""
    try:
        database = os.stat(path)
        with Descriptor(path + "-journal", _MAKE, 0o600) as number:
            if os.geteuid() == 0:
                os.fchown(number, database.st_uid, database.st_gid)
            os.fchmod(number, database.st_mode & 0o666)
    except FileExistsError:
        check_logs(path, writes=True)
    except OSError:  # a folder that may not be written: nobody of this user's rights commits there
        return
    check_recoverable(path)


def copy(source: str, target: str) -> None:
    """Copy a database or what lies beside it: a regular file, and a journal without the name of another file.

    Raises:
        OSError: it cannot be read or written.
    """
    with Descriptor(source, _READ) as number, open(target, "wb") as out:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", source)
        while data := os.read(number, _CHUNK_BYTES):
            out.write(data)
        out.flush()
        size = os.fstat(out.fileno()).st_size
        if source.endswith("-journal") and size >= len(SUPER_MAGIC):
            # Zeros name nothing, whatever stands before them; cut off, another such name could come to be the end.
            with open(target, "rb") as made:
                made.seek(size - len(SUPER_MAGIC))
                if made.read() == SUPER_MAGIC:
                    out.seek(size - len(SUPER_MAGIC))
                    out.write(bytes(len(SUPER_MAGIC)))


def contents_of(path: str) -> bytes:
    """All bytes of a file beside a database; none where there is none. Raises: OSError: no regular file, say."""
    try:
        descriptor = Descriptor(path, _READ)
    except FileNotFoundError:
        return b""
    with descriptor as number:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", path)
        with open(number, "rb", closefd=False) as file:
            return file.read()


def _check(path: str, suffix: str, kind: int, *, writes: bool) -> bool:
    """Whether it is there. Raises: StorageError."""
    name = path + suffix
    try:
        found = os.lstat(name)
    except OSError:  # nothing is there; or nobody of this user's rights gets at it, SQLite neither
        return False
    if stat.S_IFMT(found.st_mode) != kind:
        raise StorageError(
            f"{name} is {_KINDS.get(stat.S_IFMT(found.st_mode), 'a device')}, where {path} would have {_KINDS[kind]} "
            "of its own; it was not opened. Move it away, or have its owner do so, and try again",
            errno=errno.EINVAL,
            path=name,
        )
    if found.st_nlink > 1 and writes:
        raise _linked(name, path, found)
    if not _is_of_store(found, path):
        raise _foreign(name, path, found)
    return True


def _check_lock_file(name: str, path: str) -> None:
    """A file of ours has two names while it is made; but what waiters write into it must change no other file.

    They begin at its second byte: the first is zero.
    """
    try:
        found = os.lstat(name)
        if found.st_nlink == 1 or not found.st_size:
            return
        with Descriptor(name, _READ) as number:
            is_ours = found.st_size <= LINE_BYTES + 1 and os.pread(number, 1, 0) == b"\0"
    except OSError:  # whoever locks it says so
        return
    if not is_ours:
        raise _linked(name, path, found)


def _is_of_store(found: os.stat_result, path: str) -> bool:
    if not hasattr(os, "geteuid") or found.st_uid in (os.geteuid(), 0):
        return True
    try:
        if found.st_uid == os.stat(path).st_uid:
            return True
        return _is_group_shared(os.stat(os.path.dirname(path) or "."), found, path)
    except OSError:
        return False


def _is_group_shared(folder: os.stat_result, found: os.stat_result, path: str) -> bool:
    """Whether all who can make files there are of the group that the store is of."""
    if not folder.st_mode & stat.S_IWGRP or folder.st_mode & (stat.S_ISVTX | stat.S_IWOTH):
        return False
    try:
        return found.st_gid == os.stat(path).st_gid
    except FileNotFoundError:
        return found.st_gid == folder.st_gid


def _is_hot(journal: str) -> bool:
    """Whether SQLite would apply it: its first byte is not zero. Raises: StorageError: it names another file."""
    try:
        with Descriptor(journal, _READ) as number:
            size = os.fstat(number).st_size
            first = os.pread(number, 1, 0)
            last = os.pread(number, len(SUPER_MAGIC), max(0, size - len(SUPER_MAGIC)))
    except OSError:  # it is gone, or SQLite may not read it either
        return False
    if last == SUPER_MAGIC:
        raise StorageError(
            f"{journal} names another file, which SQLite would delete as it opens the database; neither was touched. "
            "A program that writes to several databases at once (ATTACH) leaves such a journal when it is killed: "
            "then open the database with that program. If there is no such program, somebody put it there: move it "
            f"away, `mv {journal} {journal}.away`",
            errno=errno.EPERM,
            path=journal,
        )
    return first not in (b"", b"\0")


def _check_folder(path: str) -> None:
    """Where nothing keeps SQLite from a journal that comes after the look."""
    folder = os.path.dirname(path)
    if os.stat(folder).st_mode & stat.S_IWOTH:
        raise StorageError(
            f"everybody can make files in {folder}, and with one beside {path} have SQLite delete a file of this "
            f"user's: keep the store in a folder that only its users can write, or change that (chmod o-w {folder})",
            errno=errno.EPERM,
            path=path,
        )


def _linked(name: str, path: str, found: os.stat_result) -> StorageError:
    return StorageError(
        f"{name} is one file with {found.st_nlink} names (hard links), so what is written to it would change another "
        f"file; it was not opened. Close {path} in all programs, then move it away",
        errno=errno.EMLINK,
        path=name,
    )


def _foreign(name: str, path: str, found: os.stat_result) -> StorageError:
    return StorageError(
        f"{name} belongs to {_user(found.st_uid)}, who is not the owner of {path}, in a folder that is not shared "
        "with a group alone; it was not opened. Have its owner or root remove it, or copy the database alone to a "
        "folder that only its users can write. To share a store, keep it in a folder of a group (chmod 2770), with "
        "umask 002",
        errno=errno.EPERM,
        path=name,
    )


def _user(uid: int) -> str:
    try:
        import pwd

        return f"{pwd.getpwuid(uid).pw_name} (user {uid})"
    except (ImportError, KeyError):
        return f"user {uid}"
