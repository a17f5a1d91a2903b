"""Checks the files beside a database before SQLite opens it: a planted one could harm the reader.

A rollback journal may end with the name of another file (a "super-journal"), which SQLite deletes once it has applied
the journal (https://www.sqlite.org/fileformat2.html#rollback_journal; pager_delsuper in its pager.c). A pipe in the
place of a file makes the reader wait; a link leads to a file that does not belong to the store.
"""

from __future__ import annotations

import errno
import os
import stat

from store.errors import StorageError
from store.system.deadlock import LINE_BYTES
from store.system.descriptors import READ, Descriptor, read_at

LOGS = ("-journal", "-wal", "-shm")
MAPPED = (".changes", ".access")  # hold no data
ACTIVITY = ".activity"  # totals for a person who watches the store; holds no data
FILES = (".lock", *MAPPED, ACTIVITY, "-network", "-open")
FOLDERS = ("-spill", "-locks")

SUPER_MAGIC = bytes.fromhex("d9d505f920a163d7")  # the last bytes of a journal that names another file
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
    stat.S_IFREG: "a file",
}


def check(path: str, *, writes: bool) -> None:
    """Check all files that may be beside the database at `path`, which has no links in it.

    `writes`: it will be opened for writing; a file with several names is refused then too.

    Raises:
        StorageError: one of them is of a wrong kind, or belongs to a user who has no part in the store.
    """
    check_logs(path, writes=writes)
    check_own(path, writes=writes)


def check_own(path: str, *, writes: bool) -> None:
    """Check only the files of this library; opening a connection checks those of SQLite."""
    for suffix in FILES:
        _check(path, suffix, stat.S_IFREG, writes=False)
    if writes:
        _check_lock_file(path + ".lock", path)
    for suffix in FOLDERS:
        _check(path, suffix, stat.S_IFDIR, writes=False)


def check_logs(path: str, *, writes: bool) -> bool:
    """Check the files that SQLite opens, before each connection. Returns whether it would apply a journal."""
    _check(path, "-wal", stat.S_IFREG, writes=writes)
    _check(path, "-shm", stat.S_IFREG, writes=True)  # SQLite truncates it and writes into it, for readers too
    return _check(path, "-journal", stat.S_IFREG, writes=writes) and _is_hot(path + "-journal")


def is_exposed(path: str) -> bool:
    """Whether users other than this one and root can create files beside the database."""
    if not hasattr(os, "geteuid"):
        return False
    try:
        folder = os.stat(os.path.dirname(path) or ".")
    except OSError:  # opening it says so
        return False
    return folder.st_uid not in (os.geteuid(), 0) or bool(folder.st_mode & OTHERS_WRITE)


def _check(path: str, suffix: str, kind: int, *, writes: bool) -> bool:
    """Check one file; returns whether it exists. Raises: StorageError."""
    name = path + suffix
    try:
        found = os.lstat(name)
    except OSError:  # there is none, or neither this user nor SQLite can reach it
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
    if not is_of_store(found, path):
        raise _foreign(name, path, found)
    return True


def _check_lock_file(name: str, path: str) -> None:
    """Check that waiters, which write to it, change no other file; while it is created it has two names.

    They write from its second byte on: the first is zero.
    """
    try:
        found = os.lstat(name)
        if found.st_nlink == 1 or not found.st_size:
            return
        with Descriptor(name, READ) as number:
            is_ours = found.st_size <= LINE_BYTES + 1 and read_at(number, 1, 0) == b"\0"
    except OSError:  # locking it says so
        return
    if not is_ours:
        raise _linked(name, path, found)


def is_of_store(found: os.stat_result, path: str) -> bool:
    """Whether a file beside the database belongs to this user, root, or a user who has a part in the store."""
    if not hasattr(os, "geteuid") or found.st_uid in (os.geteuid(), 0):
        return True
    try:
        if found.st_uid == os.stat(path).st_uid:
            return True
        return is_group_shared(os.stat(os.path.dirname(path) or "."), found, path)
    except OSError:
        return False


def is_group_shared(folder: os.stat_result, found: os.stat_result, path: str) -> bool:
    """Whether all users who can create files there are in the group of the store."""
    if not folder.st_mode & stat.S_IWGRP or folder.st_mode & (stat.S_ISVTX | stat.S_IWOTH):
        return False
    try:
        return found.st_gid == os.stat(path).st_gid
    except FileNotFoundError:
        return found.st_gid == folder.st_gid


def _is_hot(journal: str) -> bool:
    """Whether SQLite would apply it: its first byte is not zero. Raises: StorageError: it names another file."""
    try:
        with Descriptor(journal, READ) as number:
            size = os.fstat(number).st_size
            first = read_at(number, 1, 0)
            last = read_at(number, len(SUPER_MAGIC), max(0, size - len(SUPER_MAGIC)))
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
