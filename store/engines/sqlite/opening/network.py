"""Network mode: how a store is used where several machines may have it open.

SQLite has no WAL there, so the database has a rollback journal, and every transaction of ours, reads included, is
made under the writer's lock. All who use one file must agree on that, also a program on the server, to whom the same
file is on a local disk: the empty file `<database>-network` beside it tells them. `STORE_NETWORK=1` in the
environment asks for network mode where the table of mounts does not tell. `STORE_NETWORK=0` asks for a WAL, and takes
the mark away again: it is for who knows that one machine alone uses the file.

- The writer's lock is `flock` here as well, which Linux passes on to the server for NFS (2.6.12) and SMB (5.5), see
  flock(2), as it does SQLite's own locks, below ours. Soft locks, files that exist while somebody holds them, were
  not chosen: who is killed leaves one behind, and no other machine can tell it from one that is held.
- The journal is kept and its header overwritten (`PERSIST`). Whether a dead writer left one to be rolled back is then
  seen by opening it, when NFS asks the server, and not by whether it exists, which a client may remember wrongly for
  a minute. Nor is a directory to be synced for a commit to last.
- `synchronous = FULL`: with a rollback journal NORMAL can corrupt a database in a power cut
  (https://www.sqlite.org/pragma.html#pragma_synchronous). A commit is synced when it returns.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

from store.engines.sqlite.errors import IOERR_LOCK, READONLY_ROLLBACK
from store.engines.sqlite.opening.connection import WAL_LIMIT_BYTES, Connect, connect, private_copy
from store.engines.sqlite.opening.lock_probe import unlocked_place
from store.engines.sqlite.spill.folder import unwritable
from store.errors import StorageError
from store.system import caller
from store.system.file_status import is_there
from store.system.mounts import Mount, mount_of
from store.system.rights import make_beside
from store.system.syncing import sync_folder

VARIABLE = "STORE_NETWORK"


def in_network_mode(path: str) -> bool:
    """Whether the database at a path without links is to be used in network mode. Raises: ValueError: VARIABLE is."""
    wanted = os.environ.get(VARIABLE, "")
    if wanted not in ("", "0", "1"):
        raise ValueError(f"{VARIABLE} is 1 (network mode), 0 (a local disk) or empty, not {wanted!r}")
    if wanted:
        return wanted == "1"
    mount = mount_of(path)
    is_network = mount is not None and mount.is_network()
    if mount is not None and is_network:
        _warn_of_local_locks(path, mount)
    if is_network or is_marked(path):
        _warn_of_locks_apart(path, mount)
        return True
    return False


def is_marked(path: str) -> bool:
    """Whether somebody uses it in network mode, or did last."""
    return is_there(_mark(path))


def set_journal(conn: sqlite3.Connection, path: str, *, network: bool) -> None:
    """Give the database the kind of journal that the mode needs. Under the writer's lock.

    The mark is there before the WAL is gone, and goes after it has come: who finds no WAL looks for the mark. Also
    after a power cut: a journal that came back would take the file back to it, beside the WAL of the others.

    Raises:
        sqlite3.OperationalError: somebody else has it open, and the kind would change. ReadOnly, StorageError.
    """
    marked = is_marked(path)
    if network:
        make_beside(_mark(path), path)
        _sync_names(path)
    try:
        conn.execute(f"PRAGMA journal_mode = {'PERSIST' if network else 'WAL'}").fetchone()
    except sqlite3.OperationalError:
        if network and not marked:
            os.unlink(_mark(path))
        raise
    if marked and not network:
        _sync_names(path)
        os.unlink(_mark(path))


def _sync_names(path: str) -> None:
    try:
        sync_folder(os.path.dirname(path))
    except OSError as exc:
        raise unwritable(exc, path) from exc


def network_writer(path: str) -> Connect:
    """Opens connections that read and write with a rollback journal."""

    def open_() -> sqlite3.Connection:
        conn = connect(path, network=True)
        conn.execute("PRAGMA journal_mode = PERSIST").fetchone()
        conn.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
        return conn

    return open_


def network_reader(path: str) -> Connect:
    """Opens connections that cannot change the database; to a private copy where somebody else must change it first.

    Raises:
        StorageError: it has a WAL that somebody is using, or has left.
    """
    try:
        # Alone, it asks for a lock that a reader cannot have where there is a WAL.
        with closing(connect(path, "mode=ro", alone=True)) as conn:
            conn.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
    except sqlite3.OperationalError as exc:
        check_no_log(path)
        if exc.sqlite_errorcode not in (READONLY_ROLLBACK, IOERR_LOCK):
            raise
        return private_copy(path)
    return lambda: connect(path, "mode=ro")


def check_no_log(path: str) -> None:
    """Raises: StorageError: somebody uses the database with a WAL."""
    if is_there(path + "-wal"):
        raise other_mode(path, network=True)


def other_mode(path: str, *, network: bool) -> StorageError:
    """What is wrong where the kind of journal is not that of the mode."""
    if network:
        return StorageError(
            f"{path} is used with a write-ahead log, which works within one machine only, and here it is on a "
            f'network file system (or {VARIABLE}=1): close it everywhere, then open it here once with mode="w", '
            "which gives it a journal that works over a network; or use it on its own machine alone",
            path=path,
        )
    return StorageError(
        f"{path} was switched to network mode by another program while it was open; open the store again", path=path
    )


def in_use(path: str, *, network: bool) -> StorageError | None:
    """What is wrong where the kind of journal must change, and somebody has the database open; None: it need not."""
    if not (is_there(path + "-wal") if network else is_marked(path)):
        return None
    wanted = "network mode, without a write-ahead log," if network else "a write-ahead log"
    return StorageError(
        f"{path} must be switched to {wanted} and other programs have it open: close it there, and open it again",
        path=path,
    )


def _warn_of_local_locks(path: str, mount: Mount) -> None:
    options = mount.local_locks()
    if options:
        caller.warn(
            f"{path} lies on {mount.point} ({mount.type}), mounted so that locks do not reach other machines "
            f"({', '.join(options)}): use the store from this machine alone, or mount it without that option"
        )


def _warn_of_locks_apart(path: str, mount: Mount | None) -> None:
    found = unlocked_place(path, mount)
    if found is not None:
        other, between = found
        caller.warn(
            f"{path} can be opened as {other} too, and {between.point} ({between.type}) keeps the locks of the two "
            "apart, so writers would undo what the others write: use one of the two paths alone, or mount it so that "
            "locks are passed on (bindfs: --multithreaded --enable-lock-forwarding)"
        )


def _mark(path: str) -> str:
    return path + "-network"
