"""`backup` and `restore`: a copy of a whole store, and back."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from shlex import quote

from store.engines.registry import file_schemes, restorers
from store.errors import RecordError
from store.opened.arguments import check_timeout, locate
from store.opened.namespace import Namespace
from store.opened.options import DEFAULT_TIMEOUT_SECONDS
from store.rows.row import Row
from store.trust.keys.ring import Keyring
from store.trust.seal import Sealer, Verdict

Progress = Callable[[int, int], object]


@dataclass(frozen=True, slots=True)
class Backup:
    """The contents of a backup: records, files of large values, and bytes of database and files together."""

    path: str
    records: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Restoration:
    """The content that was restored, counted as in `Backup`; `replaced`: whether a store was replaced."""

    path: str
    records: int
    files: int
    bytes: int
    replaced: bool


def backup(ns: Namespace, path: str | os.PathLike[str], progress: Progress | None) -> Backup:
    """See `Store.backup`."""
    ns.check_open()
    target = _file(path)
    if not ns.in_transaction():  # which the engine refuses
        ns.sync()
    copied = ns.care.backup(target, _check(ns.values.sealer), progress)
    return Backup(target, copied.records, len(copied.parts), copied.database_bytes + copied.file_bytes)


def restore(
    backup: str | os.PathLike[str],
    location: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
) -> Restoration:
    """Restores a backup, a file, into the store at `location`, a path or URL, or as a new store where there is none.

    All of the backup is checked before anything is changed. Programs that have the store open may continue: for them
    the content changes in one step; everything written since the backup is gone. `progress` is called as that of
    `Store.backup`.

    Raises:
        StoreNotFound, NotAStore: `backup` or `location` is not a store. RecordError: the backup is damaged, at this
            record where it is known. StorageError: at `location` is another store: restore to a new path.
            StoreError: this thread is in a transaction of it. LockTimeout, ReadOnly.
    """
    source = _file(backup)
    scheme, target = _locate(location, "what is restored")
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
    return Restoration(_shown(target), copied.records, len(copied.parts), size, replaced)


def _check(sealer: Sealer) -> Callable[[Row], bool]:
    """Whether a key of ours sealed a row. The function raises RecordError for a damaged one."""
    return lambda row: sealer.check(row) is Verdict.OWN


def _of_backup(exc: RecordError, source: str) -> RecordError:
    return type(exc)(
        f"{source} is damaged, and nothing was restored: {exc.message.rstrip('.')}. "
        f"`store recover {quote(source)} NEW` copies what is whole to a new store",
        **{field: getattr(exc, field) for field in exc.evidence},
    )


def _file(path: str | os.PathLike[str]) -> str:
    """The absolute path of a backup. Raises: ValueError: it is not a file."""
    scheme, place = _locate(path, "a backup")
    if scheme not in file_schemes:
        raise ValueError("a backup is a file, and no store on a server; give its path")
    return place


def _shown(location: str) -> str:
    """A path, or a URL without its password."""
    if "://" not in location:
        return location
    return re.sub(r"([?&](?:ssl)?password=)[^&]*", r"\1", re.sub(r"(://[^:/@]*):[^/@]*@", r"\1@", location))


def _locate(location: str | os.PathLike[str], what: str) -> tuple[str, str]:
    scheme, place = locate(location)
    if place == ":memory:":
        raise ValueError(f"{what} in memory would be gone with this process; give the path of a file")
    return scheme, place
