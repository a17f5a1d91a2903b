"""Mistakes put into the store on purpose: a harness that does not find their damage proves nothing."""

from __future__ import annotations

import os
import types
from collections.abc import Callable
from typing import Any

import store.engines.sqlite.care.backup as sqlite_backup
import store.engines.sqlite.engine.opener as sqlite_opener
import store.engines.sqlite.engine.synced_log as synced_log
import store.engines.sqlite.spill.copying as spill_copying
import store.engines.sqlite.spill.folder as spill
import store.engines.sqlite.spill.writing as spill_writing
import store.trust.keys.changing as key_file
from store.engines.sqlite.spill.garbage import dropped
from store.engines.sqlite.writing import Writing


def nothing() -> None:
    """No mistake."""


def no_sync() -> None:
    """SQLite syncs nothing, and the log is not synced either."""
    too_little_sync()
    sqlite_opener.SYNCHRONOUS = dict.fromkeys(sqlite_opener.SYNCHRONOUS, "OFF")


def too_little_sync() -> None:
    """A store with durability="full" syncs as one with "normal" does."""
    synced_log.SyncedLog.sync = lambda self: None  # type: ignore[method-assign]


def unlinked_at_commit() -> None:
    """The files that a commit drops are removed right after it, not after a checkpoint."""
    drop = Writing._drop

    def drop_and_unlink(self: Any, spills: Any, but: str | None = None) -> None:
        found, engine = list(spills), self._handle.engine
        drop(self, found, but)
        files, _ = dropped(engine.store_id, found, but)
        engine.connection().current().on_commit(lambda: engine.spill.folder.remove(files))

    Writing._drop = drop_and_unlink  # type: ignore[method-assign]


def files_not_synced() -> None:
    """The content of the files of large values is not synced."""
    spill_writing.os = types.SimpleNamespace(**{**vars(os), "fsync": lambda descriptor: None})  # type: ignore[attr-defined]


def names_not_synced() -> None:
    """Their names are not."""
    spill.OpenFolder.sync = lambda self: None  # type: ignore[method-assign]


def folder_not_synced() -> None:
    """The name of their folder is not."""
    spill.Folder._sync_name = lambda self, folder: None  # type: ignore[method-assign]


def key_not_synced() -> None:
    """The name of the key file is not."""
    key_file.sync_folder = lambda folder: None


def key_folders_not_synced() -> None:
    """The names of the folders above the key file are not."""
    key_file.sync_folders_above = lambda folder: None


def found_files_not_synced() -> None:
    """What a backup finds at its target is taken as it is."""
    spill.OpenFolder.sync_file = lambda self, file: None  # type: ignore[method-assign]


def older_journal_not_synced() -> None:
    """A backup syncs the folder after its rename alone, and does not have the older one's journal emptied before."""

    def lock_out(conn: Any, target: str) -> None:
        conn.execute("PRAGMA journal_mode = DELETE").fetchone()  # with the lock kept, SQLite empties and syncs it
        conn.execute("BEGIN EXCLUSIVE")

    def rename(partial: str, target: str) -> None:
        os.rename(partial, target)
        sqlite_backup.sync_folder(os.path.dirname(target))

    sqlite_backup._lock_out = lock_out
    sqlite_backup._rename = rename


def dying_at_sync() -> None:
    """This process is killed where the copy of a file would be synced, or its name."""
    spill_copying.sync_file = lambda file: os._exit(1)
    spill.OpenFolder.sync = lambda self: os._exit(1)  # type: ignore[method-assign]


DEFECTS: dict[str, Callable[[], None]] = {
    "none": nothing,
    "no sync": no_sync,
    "too little sync": too_little_sync,
    "unlinked at commit": unlinked_at_commit,
    "files not synced": files_not_synced,
    "names not synced": names_not_synced,
    "folder not synced": folder_not_synced,
    "key not synced": key_not_synced,
    "key's folders not synced": key_folders_not_synced,
    "found files not synced": found_files_not_synced,
    "older journal not synced": older_journal_not_synced,
}
