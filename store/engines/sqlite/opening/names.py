"""How long the name of a store's file may be: files beside it have the same name and a suffix."""

from __future__ import annotations

import errno
import os

from store.errors import StorageError

# The longest suffixes: in normal use, and in a backup to that name or a restore over it.
USED, COPIED = "-journal", "-partial-journal"
USUAL_LIMIT = 255  # where the system does not say


def check_name_length(path: str, longest: str) -> None:
    """Raises: StorageError: the name of the file with the suffix `longest` is too long for the system."""
    name, limit = os.fsencode(os.path.basename(path)), _limit(os.path.dirname(path))
    most = limit - len(longest)
    if len(name) > most:
        raise StorageError(
            f"{path}: the name of the file has {len(name)} bytes, and other files beside it have longer ones "
            f"(…{longest}), of which the file system takes {limit} bytes: give it a name of at most {most} bytes",
            errno=errno.ENAMETOOLONG,
            path=path,
        )


def _limit(folder: str) -> int:
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # Windows, or the folder cannot be reached; later calls report that
        return USUAL_LIMIT
