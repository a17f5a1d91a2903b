"""Mode, owner and group of new databases, and of new files beside a database, which get those of the database.

No umask keeps the group out of a store that is shared with it, and none opens a private store. Existing files keep
their rights.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

from store.system.descriptors import NEW, Descriptor

FILE_MODE = 0o644  # minus the umask: the mode of SQLite's new databases (SQLITE_DEFAULT_FILE_PERMISSIONS)

_PRIVATE, _SHARED = 0o600, 0o660
_ALL = 0o666  # the bits that can be given to a file
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)  # of a file system without hard links

_HAS_RIGHTS = hasattr(os, "geteuid")  # Windows has access lists, which a new file inherits from its folder

Give = Callable[[int], None]  # to a descriptor


class Rights(NamedTuple):
    """Mode and group of a new database; group None: the default of the folder and the process."""

    mode: int
    group: int | None


def private_rights(group: str | int | None) -> Rights:
    """Rights for the user alone, or for a group as well, by its name or number. Raises: TypeError, ValueError."""
    if group is None:
        return Rights(_PRIVATE, None)
    if isinstance(group, bool) or not isinstance(group, str | int):
        raise TypeError(f"group is the name or number of a group, not {group!r:.80}")
    if isinstance(group, int):
        if not 0 <= group < 2**32 - 1:  # the last one means no change
            raise ValueError(f"group is the name or number of a group, not {group!r}")
        return Rights(_SHARED, group)
    try:
        import grp

        return Rights(_SHARED, grp.getgrnam(group).gr_gid)
    except (ImportError, KeyError, ValueError):  # Windows has none
        raise ValueError(f"there is no group {group!r:.80} here; see `getent group`") from None


def make_database(path: str, rights: Rights) -> None:
    """Create an empty file with those rights, never accessible to others; an existing file stays.

    Raises: OSError: it cannot be created, or this user may not give it that group; then there is no file.
    """

    def give(made: int) -> None:
        if rights.group is not None:
            os.chown(made, -1, rights.group)
        if _HAS_RIGHTS:
            os.chmod(made, rights.mode)

    _make_as_draft(path, rights.mode, give)  # SQLite's locks would go with the descriptor of a file that others see


def make_beside(path: str, database: str) -> None:
    """Create an empty file beside a database, with its mode and group; does nothing if the file exists.

    Without a database, it gets the mode that SQLite will give the database.

    Raises: OSError.
    """
    status = _status(database)
    if status is None or not _HAS_RIGHTS:
        _make_empty(path, FILE_MODE)
    else:
        mode = status.st_mode & _ALL
        # Otherwise users who may write it could not open it until it has its rights.
        make = _make_as_draft if mode & (stat.S_IWGRP | stat.S_IWOTH) else _make_empty
        make(path, mode, lambda made: give_rights(made, status, mode))


def make_whole_beside(path: str, database: str, content: bytes) -> None:
    """Create a file with that content beside a database, with its mode and group; does nothing if the file exists.

    With hard links nobody sees a part of it. Raises: OSError.
    """
    status = os.stat(database)
    mode = status.st_mode & _ALL

    def give(made: int) -> None:
        give_rights(made, status, mode)
        if os.write(made, content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    _make_as_draft(path, mode, give)


def make_folder_beside(path: str, database: str) -> None:
    """Like `make_beside`, for a folder."""
    status = _status(database)
    with suppress(FileExistsError):
        os.mkdir(path, folder_mode(status.st_mode if status else FILE_MODE))
        if status is not None:
            give_rights(path, status, folder_mode(status.st_mode))
    if not stat.S_ISDIR(os.stat(path).st_mode):  # not `isdir`, which is False on errors
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)


def folder_mode(mode: int) -> int:
    """The mode of a folder beside a file of that mode: users who may read the file may search the folder."""
    return mode & _ALL | (mode & 0o444) >> 2


def give_rights(target: str | int, database: os.stat_result, mode: int) -> None:
    """Give a file or descriptor the group of a database, and `mode`; if this is root, its owner as well.

    If this user is not in that group, the file keeps another group, which gets no rights.
    """
    if not _HAS_RIGHTS:
        return
    made = os.stat(target)
    if os.geteuid() == 0:
        if (made.st_uid, made.st_gid) != (database.st_uid, database.st_gid):
            os.chown(target, database.st_uid, database.st_gid)
    elif made.st_gid != database.st_gid:
        try:
            os.chown(target, -1, database.st_gid)
        except PermissionError:
            mode &= ~stat.S_IRWXG
    if stat.S_IMODE(made.st_mode) != mode:
        os.chmod(target, mode)


def regroup(database: str, suffixes: Iterable[str]) -> None:
    """Give files that SQLite created beside a database its group too, if possible."""
    # SQLite itself gives files of root to the owner (findCreateFileMode and robustFchown in os_unix.c).
    if not _HAS_RIGHTS or os.geteuid() == 0:
        return
    status = _status(database)
    if status is None or not status.st_mode & stat.S_IRWXG:
        return
    for path in (database + suffix for suffix in suffixes):
        with suppress(OSError):
            beside = os.lstat(path)
            if beside.st_gid != status.st_gid and stat.S_ISREG(beside.st_mode):
                os.chown(path, -1, status.st_gid, follow_symlinks=False)


def _make_as_draft(path: str, mode: int, give: Give) -> None:
    """Like `_make_empty`, but with hard links the file gets its name only after its rights."""
    if os.path.lexists(path):
        return
    draft = os.path.join(os.path.dirname(path), f".store-{os.urandom(8).hex()}")
    try:
        _make_empty(draft, _PRIVATE, give)
        os.link(draft, path)
    except FileExistsError:
        pass
    except OSError as exc:
        if exc.errno not in _NO_LINKS or not os.path.lexists(draft):  # then it was not the link
            raise
        _make_empty(path, mode & _PRIVATE, give)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(draft)


def _make_empty(path: str, mode: int, give: Give | None = None) -> None:
    """Create an empty file, with its rights by `give`; does nothing if a file or a link exists."""
    try:
        with Descriptor(path, NEW, mode) as descriptor:  # not by the path, which could name another file by then
            if give is not None:
                try:
                    give(descriptor)
                except BaseException:
                    os.unlink(path)
                    raise
    except FileExistsError:
        return


def _status(database: str) -> os.stat_result | None:
    try:
        return os.stat(database)
    except FileNotFoundError:
        return None
