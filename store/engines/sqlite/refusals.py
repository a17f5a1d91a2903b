"""Why SQLite cannot open a file: it reports SQLITE_CANTOPEN for any reason, so this module asks the system.

It uses stat and access, and opens another file: closing a descriptor of the database would drop the locks of all
connections that this process has to it.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from store.system.refusals import lacks_descriptors, out_of_descriptors

LONGEST_PATH = 504  # bytes: MAX_PATHNAME of os_unix.c is 512, for the path with "-journal" behind it
FILES = 4  # that a connection opens: the database, its log, the index of that, for a moment the folder
_BESIDE = ("-wal", "-shm", "-journal")


def why_not_opened(path: str) -> tuple[int, str] | None:
    """The system's error number, and text with the reason and the remedy; None if the system finds no problem."""
    length = len(os.fsencode(path))
    if length > LONGEST_PATH:
        what = f"its path has {length} bytes, and SQLite takes up to {LONGEST_PATH}: keep it where that is shorter"
        return errno.ENAMETOOLONG, what
    number = lacks_descriptors(FILES)
    if number:
        return number, out_of_descriptors(number)
    try:
        os.stat(path)
    except OSError as exc:
        if exc.errno == errno.ENOENT and os.path.isdir(os.path.dirname(path)):  # it was only being made
            return None
        return exc.errno or 0, f"it cannot be reached ({exc.strerror}): see what its folders are, and their rights"
    return why_not_read(path)


def why_not_read(path: str) -> tuple[int, str] | None:
    """Like `why_not_opened`, for an existing database with a file that this user may not read."""
    for file in (path, *(path + suffix for suffix in _BESIDE)):
        with suppress(OSError):
            if os.path.exists(file) and not os.access(file, os.R_OK):
                name = "it" if file == path else file
                return errno.EACCES, f"{name} may not be read by this user: have its owner change that (chmod, chown)"
    return None
