"""Network mode: for a store that several machines may have open.

SQLite's WAL does not work there, so the database has a rollback journal, and every transaction of ours, including
reads, runs under the writer's lock. All programs that use one file must agree on that, also one on the server, where
the same file is on a local disk: the empty file `<database>-network` beside it marks the mode. `STORE_NETWORK=1` in
the environment selects network mode if the table of mounts does not show it. `STORE_NETWORK=0` selects a WAL, and
removes the mark: use it if only one machine uses the file.

- The writer's lock is `flock` here as well, which Linux passes on to the server for NFS (2.6.12) and SMB (5.5), see
  flock(2), as it does SQLite's own locks. Soft locks, files that exist while they are held, were not chosen: a killed
  program leaves one behind, and another machine cannot distinguish it from one that is held.
- The journal is kept and its header overwritten (`PERSIST`). A reader detects the journal of a dead writer by opening
  it, which makes NFS ask the server, and not by its existence, which a client may cache wrongly for a minute. And no
  directory must be synced for a commit to last.
- `synchronous = FULL`: with a rollback journal NORMAL can corrupt a database in a power cut
  (https://www.sqlite.org/pragma.html#pragma_synchronous). A commit is synced when it returns.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

from store.engines.sqlite.errors import IOERR_LOCK, READONLY_ROLLBACK
from store.engines.sqlite.opening.connection import connect
from store.engines.sqlite.opening.local import LOG_LIMIT_BYTES
from store.engines.sqlite.opening.private_copy import private_copy
from store.engines.sqlite.opening.strategy import LOCAL, NETWORK, Opening, Strategy
from store.errors import StorageError
from store.system import caller
from store.system.descriptors import NEW, NO_FOLLOW, Descriptor
from store.system.file_status import is_there, writing
from store.system.mounts import Mount, mount_of, places_of
from store.system.rights import make_beside
from store.system.syncing import sync_folder

VARIABLE = "STORE_NETWORK"


def strategy_of(path: str) -> Strategy:
    """The strategy for the database at a path without links. Raises: ValueError: VARIABLE has another value."""
    wanted = os.environ.get(VARIABLE, "")
    if wanted not in ("", "0", "1"):
        raise ValueError(f"{VARIABLE} is 1 (network mode), 0 (a local disk) or empty, not {wanted!r}")
    if wanted:
        return NETWORK if wanted == "1" else LOCAL
    mount = mount_of(path)
    is_network = mount is not None and mount.is_network()
    if mount is not None and is_network:
        _warn_of_local_locks(path, mount)
    if is_network or is_marked(path):
        _warn_of_locks_apart(path, mount)
        return NETWORK
    return LOCAL


def is_marked(path: str) -> bool:
    """Whether the mark of network mode is beside it."""
    return is_there(_mark(path))


def set_journal(conn: sqlite3.Connection, path: str, strategy: Strategy) -> None:
    """Switch the database to the kind of journal that the strategy needs. Under the writer's lock.

    The mark is created before the WAL is removed, and removed after the WAL is created: a program that finds no WAL
    looks for the mark. This holds after a power cut too: otherwise a restored journal would be applied to the file
    while others use a WAL.

    Raises:
        sqlite3.OperationalError: the kind must change while others have it open. ReadOnly, StorageError.
    """
    was_marked, is_network = is_marked(path), strategy is NETWORK
    if is_network:
        make_beside(_mark(path), path)
        _sync_names(path)
    try:
        conn.execute(f"PRAGMA journal_mode = {strategy.journal}").fetchone()
    except sqlite3.OperationalError:
        if is_network and not was_marked:
            os.unlink(_mark(path))
        raise
    if was_marked and not is_network:
        _sync_names(path)
        os.unlink(_mark(path))


def _sync_names(path: str) -> None:
    with writing(path):
        sync_folder(os.path.dirname(path))


def network_writer(path: str) -> Opening:
    """Opens connections that read and write with a rollback journal."""

    def open_() -> sqlite3.Connection:
        conn = connect(path, keeps_journal=True)
        conn.execute(f"PRAGMA journal_mode = {NETWORK.journal}").fetchone()
        conn.execute(f"PRAGMA journal_size_limit = {LOG_LIMIT_BYTES}")
        return conn

    return Opening(open_, NETWORK)


def network_reader(path: str) -> Opening:
    """Opens connections that cannot change the database; to a private copy if a writer must recover it first.

    Raises:
        StorageError: it has a WAL, in use or left over.
    """
    try:
        # With `alone`, it requests a lock that a reader cannot get if there is a WAL.
        with closing(connect(path, "mode=ro", alone=True)) as conn:
            conn.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
    except sqlite3.OperationalError as exc:
        check_no_log(path)
        if exc.sqlite_errorcode not in (READONLY_ROLLBACK, IOERR_LOCK):
            raise
        return private_copy(path)
    return Opening(lambda: connect(path, "mode=ro"), NETWORK)


def check_no_log(path: str) -> None:
    """Raises: StorageError: the database is used with a WAL."""
    if is_there(path + "-wal"):
        raise other_mode(path, NETWORK)


def other_mode(path: str, strategy: Strategy) -> StorageError:
    """The error if the kind of journal is not that of the strategy."""
    if strategy is NETWORK:
        return StorageError(
            f"{path} is used with a write-ahead log, which works within one machine only, and here it is on a "
            f'network file system (or {VARIABLE}=1): close it everywhere, then open it here once with mode="w", '
            "which gives it a journal that works over a network; or use it on its own machine alone",
            path=path,
        )
    return StorageError(
        f"{path} was switched to network mode by another program while it was open; open the store again", path=path
    )


def in_use(path: str, strategy: Strategy) -> StorageError | None:
    """The error if the kind of journal must change while others have the database open; None: it need not change."""
    is_network = strategy is NETWORK
    if not (is_there(path + "-wal") if is_network else is_marked(path)):
        return None
    wanted = "network mode, without a write-ahead log," if is_network else "a write-ahead log"
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
    found = _unlocked_place(path, mount)
    if found is not None:
        other, between = found
        caller.warn(
            f"{path} can be opened as {other} too, and {between.point} ({between.type}) keeps the locks of the two "
            "apart, so writers would undo what the others write: use one of the two paths alone, or mount it so that "
            "locks are passed on (bindfs: --multithreaded --enable-lock-forwarding)"
        )


def _unlocked_place(path: str, mount: Mount | None) -> tuple[str, Mount] | None:
    """Another path of the file at `path` that does not share its locks, and the mount that separates them.

    A FUSE file system may handle locks by itself, as bindfs does: then locks in the folder below it are separate,
    though the files are the same. To detect that, a new file is locked through both paths. None if there is no such
    path, or if that is unknown: a folder that is not writable is not tried.
    """
    for other, between in places_of(path, mount):
        if _are_apart(os.path.dirname(path), os.path.dirname(other)):
            return other, between
    return None


def _are_apart(folder: str, other: str) -> bool:
    name = f".store-{os.urandom(8).hex()}"
    try:
        with Descriptor(os.path.join(folder, name), NEW, 0o600) as here:
            try:
                # Not there: another folder has the name of the source.
                with Descriptor(os.path.join(other, name), os.O_RDWR | NO_FOLLOW) as there:
                    return _both(here, there)
            finally:
                os.unlink(os.path.join(folder, name))
    except OSError:
        return False


def _both(here: int, there: int) -> bool:
    """Whether two descriptors of one file can be locked at once."""
    import fcntl  # where there is FUSE there is this

    fcntl.flock(here, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        fcntl.flock(there, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _mark(path: str) -> str:
    return path + "-network"
