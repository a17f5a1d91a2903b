"""The names of the standard library's `shelve`, so that `import store as shelve` moves a program over."""

from __future__ import annotations

import os
from shlex import quote
from typing import Any

from store.errors import NotAStore
from store.mapping.store import Store
from store.opened.opening import is_store
from store.opened.options import Mode

Shelf = Store
DbfilenameShelf = Store

_SUFFIXES = (".dat", ".dir", ".bak", ".db")  # which dbm's modules add to a file's name


def open(
    filename: str | os.PathLike[str], flag: Mode = "c", protocol: int | None = None, writeback: bool = False
) -> Store[Any]:
    """Opens a `Store` as `shelve.open` opens a shelf; the file has exactly the name that is given.

    Raises:
        NotAStore: a shelf of the standard library is there; it is not touched. And as `Store`.
    """
    if flag != "n":
        _refuse_old_shelf(os.fsdecode(filename))
    try:
        return Store(filename, mode=flag, protocol=protocol, writeback=writeback)
    except NotAStore as exc:
        exc.add_note(_how_to_copy(os.fsdecode(filename)))
        raise


def _refuse_old_shelf(path: str) -> None:
    """Raises: NotAStore: a shelf of that name is there, and an empty store beside it would look like a loss."""
    if os.path.exists(path):
        return
    for suffix in _SUFFIXES:
        if os.path.exists(path + suffix) and not is_store(path + suffix):
            raise NotAStore(
                f"{path}{suffix} looks like a shelf of the standard library, and was not touched. "
                + _how_to_copy(path),
                path=path + suffix,
            )


def _how_to_copy(path: str) -> str:
    return (
        f"To move a shelf over, copy it to a new file: `store import shelve {quote(path)} {quote(path + '.store')}`; "
        "classes of yours that are in it: --allow module.Class"
    )
