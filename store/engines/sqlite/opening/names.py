"""How long the name of a store's file may be: others, beside it, have the same name and more behind it."""

from __future__ import annotations

import errno
import os

from store.errors import StorageError

# The longest of what is put behind the name, in a program's work and in a backup to that name or a restore over it.
USED, COPIED = "-journal", "-partial-journal"
USUAL_LIMIT = 255  # where the system does not say


def check_name_length(path: str, longest: str) -> None:
    """Raises: StorageError: the system takes no name as long as that of the file and `longest` together."""
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
    except (AttributeError, OSError, ValueError):  # Windows; what cannot be asked is told by what is done there
        return USUAL_LIMIT
