"""Lazy imports, so that a program does not pay at start for modules that it does not use.

An import opens files, and a program may have used up its descriptors: then the import fails with an `OSError` that
names no file of the program. Here it becomes an error that says which module was to be loaded, and what to do.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from store.system.file_status import unreachable


def late(where: str, purpose: str) -> Any:
    """The object at `"module:name"`, imported now if it was not before.

    `purpose` begins the message of an error: the path of the store, or the name of the part to load.

    Raises:
        StorageError: no descriptor was left to load it. ImportError: there is no such module.
    """
    module, _, name = where.partition(":")
    try:
        return getattr(import_module(module), name)
    except OSError as exc:
        raise unreachable(purpose, exc) from exc
