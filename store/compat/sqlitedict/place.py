"""Where the store of a `SqliteDict` is: a file, memory, or a folder of its own for temporary files."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterable
from shlex import quote
from typing import Any, TypedDict, Unpack

from store.care.destroy import destroy
from store.classes.lookup import Renames
from store.codecs import CodecChoice
from store.errors import NotAStore, StoreNotFound
from store.importers.formats.sqlitedict import importer
from store.mapping.store import Store
from store.opened.options import Durability, Mode, OnMissing, Trust
from store.system.rights import Rights
from store.trust.keys.ring import KeySource

logger = logging.getLogger("sqlitedict")  # the name that programs set a level for

MEMORY = ":memory:"


class TableOptions(TypedDict, total=False):
    """Options of `Store` that `SqliteDict` takes beside its own; see there."""

    codec: CodecChoice
    trust: Trust
    allow: Iterable[type | str]
    renames: Renames | None
    on_missing: OnMissing
    key: KeySource
    durability: Durability
    cache_bytes: int
    spill_bytes: int
    mmap: bool
    verify_writes: bool
    rights: Rights | None


def new_temporary() -> str:
    """The path for a store in a new folder that only this user can read."""
    return os.path.join(tempfile.mkdtemp(prefix="sqldict"), "temporary.db")


def check_folder(filename: Any) -> None:
    """Raises: RuntimeError: the folder of the file does not exist."""
    path = os.fsdecode(filename)
    folder = os.path.dirname(path)
    if folder and "://" not in path and not os.path.exists(folder):
        raise RuntimeError(f"the directory {folder} does not exist; make it first")


def opened(filename: Any, mode: Mode, namespace: str, timeout: float, **options: Unpack[TableOptions]) -> Store[Any]:
    """Opens the namespace of a file.

    Raises:
        NotAStore: sqlitedict wrote the file, which was not touched; the message has the command that copies it.
        StoreNotFound: there is no such file to read.
    """
    try:
        return Store(filename, mode=mode, namespace=namespace, timeout=timeout, **options)
    except StoreNotFound as exc:
        path = os.fsdecode(filename)
        if mode != "r" or not os.path.isdir(os.path.dirname(os.path.abspath(path))):
            raise
        raise StoreNotFound(f"there is no file {path}; flag 'c' makes one", errno=exc.errno, path=path) from exc
    except NotAStore as exc:
        path = os.fsdecode(filename)
        if not importer.recognises(path):
            raise
        raise NotAStore(_how_to_copy(path), path=path) from exc


def _how_to_copy(path: str) -> str:
    new = f"{path}.store"
    return (
        f"{path} is a file of the library sqlitedict, and was not touched. Copy it to a new file: "
        f"`store import sqlitedict {quote(path)} {quote(new)} --tables`; then open {new}. For classes of yours: "
        "--allow module.Class; if it was written with an encode= of yours: --encoded"
    )


def remove(filename: Any) -> None:
    """Removes a file with all that is beside it; nothing happens where it is gone already. Raises: as `destroy`."""
    try:
        destroy(filename)
    except StoreNotFound:
        logger.info("%s is gone already", filename)


def release(store: Store[Any], temporary: str | None, owner: int) -> None:
    """Closes a store, and removes the folder of a temporary one in the process that made it."""
    store.close()
    if temporary is not None and os.getpid() == owner and os.path.exists(temporary):
        shutil.rmtree(os.path.dirname(temporary))
