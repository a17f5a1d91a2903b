"""Why SQLite cannot open a file: it says SQLITE_CANTOPEN whatever it was, so the system is asked again.

By stat and access, and by opening another file: a descriptor of the database that is closed would drop the locks of
every connection that this process has to it.
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
    """The number of the system's error, and what it is and what to do; None where the system finds nothing wrong."""
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
    """The same of a database that is there: which file of it this user may not read."""
    for file in (path, *(path + suffix for suffix in _BESIDE)):
        with suppress(OSError):
            if os.path.exists(file) and not os.access(file, os.R_OK):
                name = "it" if file == path else file
                return errno.EACCES, f"{name} may not be read by this user: have its owner change that (chmod, chown)"
    return None
