"""`backup` and `restore`: all of a store in another place, and back."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from shlex import quote
from typing import Any

from store.engines.contract import restorers
from store.errors import RecordError
from store.opened.arguments import check_timeout, locate
from store.opened.handle import DEFAULT_TIMEOUT_SECONDS, Handle
from store.rows.row import Row
from store.trust.keys.ring import Keyring
from store.trust.seal import Sealer, Verdict

Progress = Callable[[int, int], object]


@dataclass(frozen=True, slots=True)
class Backup:
    """What was backed up: records, files of large values, and the bytes of database and files together."""

    path: str
    records: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Restoration:
    """What was restored, as a `Backup` has it; `replaced` is whether there was a store whose content it replaced."""

    path: str
    records: int
    files: int
    bytes: int
    replaced: bool


def backup(store: Handle[Any], path: str | os.PathLike[str], progress: Progress | None) -> Backup:
    """See `Store.backup`."""
    store._check_open()
    _, target = _locate(path, "a backup")
    if not store._backend.in_transaction():  # which the backend refuses
        store.sync()
    copied = store._backend.backup(target, _check(store._pipeline.sealer), progress)
    return Backup(target, copied.records, len(copied.parts), copied.database_bytes + copied.file_bytes)


def restore(
    backup: str | os.PathLike[str],
    location: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
) -> Restoration:
    """Makes the store at `location` what it was when it was backed up; or a new store, where there is none yet.

    All of the backup is checked before anything is changed. Programs that have the store open go on: they see all
    that it was, or all that it is then, in one step; what was written since the backup is gone. `progress` is called
    as that of `Store.backup` is.

    Raises:
        StoreNotFound, NotAStore: `backup` or `location` is something else than a store. RecordError: the backup is
            damaged, and this record of it is where one is known. StorageError: at `location` is another store:
            restore to a new path. StoreError: this thread is in a transaction of it. LockTimeout, ReadOnly.
    """
    scheme, source = _locate(backup, "a backup")
    _, target = _locate(location, "what is restored")
    try:
        copied, replaced = restorers.load(scheme)(
            source,
            target,
            check_of=lambda store_id: _check(Sealer(Keyring(), store_id)),
            progress=progress,
            timeout=check_timeout(timeout),
        )
    except RecordError as exc:
        raise _of_backup(exc, source) from exc
    size = copied.database_bytes + copied.file_bytes
    return Restoration(target, copied.records, len(copied.parts), size, replaced)


def _check(sealer: Sealer) -> Callable[[Row], bool]:
    """Whether a key of ours sealed a row; raises what is wrong with it."""
    return lambda row: sealer.check(row) is Verdict.OWN


def _of_backup(exc: RecordError, source: str) -> RecordError:
    return type(exc)(
        f"{source} is damaged, and nothing was restored: {exc.message.rstrip('.')}. "
        f"`store recover {quote(source)} NEW` copies what is whole to a new store",
        **{field: getattr(exc, field) for field in exc.evidence},
    )


def _locate(location: str | os.PathLike[str], what: str) -> tuple[str, str]:
    scheme, place = locate(location)
    if place == ":memory:":
        raise ValueError(f"{what} in memory would be gone with this process; give the path of a file")
    return scheme, place
