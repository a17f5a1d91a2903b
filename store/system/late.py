"""Imports that wait until they are needed: a start that does not need a module does not pay for it.

Such an import opens files, and a program may have as many open as it can: then the import fails with an `OSError`
that names no file of the program's. Here it becomes an error that says what was to be loaded, and what to do.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from store.system.file_status import unreachable


def late(where: str, purpose: str) -> Any:
    """The object at `"module:name"`, imported now if it was not before.

    `purpose` begins the message of an error: the path of the store, or what is to be loaded.

    Raises:
        StorageError: no descriptor was left to load it by. ImportError: there is no such module.
    """
    module, _, name = where.partition(":")
    try:
        return getattr(import_module(module), name)
    except OSError as exc:
        raise unreachable(purpose, exc) from exc
