"""`destroy`: a store and all that is beside it, removed."""

from __future__ import annotations

import os
from collections.abc import Callable

from store.engines.registry import destroyers
from store.opened.arguments import locate


def destroy(location: str | os.PathLike[str]) -> None:
    """Removes the store at `location`: the database, its logs and locks, and its large values.

    Of a store on a server, the tables, and the schema if nothing else is in it. Other processes that have it open
    cannot be seen there.

    Nothing is removed where it raises. Killed in the middle it leaves a file that opens no more, with an error that
    says to call this again, which finishes. Not undone by any transaction.

    Raises:
        StoreNotFound: nothing is there. NotAStore: something else is there, or a store of a later release.
        StorageError: this or another process has it open, files of others are in its folders, or something beside it
            is not what belongs there. StoreError: this thread is in a transaction, of whatever store. ReadOnly: this
            user may not remove it.
    """
    scheme, place = locate(location)
    if place == ":memory:":
        raise ValueError("a store in memory is gone once it is closed; give the path of a file")
    remove: Callable[[str], None] = destroyers.load(scheme)
    remove(place)
