"""The folder of a cache, and what diskcache may have left there.

A `cache.db` of diskcache may hold pickles of anybody (CVE-2025-69872). It is recognised by its name and never opened:
the error names the command that imports it without running anything. The folder stays as it is.
"""

from __future__ import annotations

import os
import tempfile
from shlex import quote
from typing import Any

from store.errors import NotAStore

FILE, SHARDED_FILE = "store.db", "fanout.db"
THEIRS = "cache.db"
"""The database of diskcache in its folder; a FanoutCache has one in each of its folders 000, 001, …"""


def directory_of(given: Any) -> str:
    """The path of a folder: ~ and variables of the environment are replaced; None is a new temporary one."""
    if given is None:
        return tempfile.mkdtemp(prefix="diskcache-")
    path = os.fsdecode(given) if isinstance(given, bytes | os.PathLike) else str(given)
    return os.path.expandvars(os.path.expanduser(path))


def prepare(directory: str, file: str) -> str:
    """Makes the folder where there is none, and returns the path of the store in it.

    Raises:
        NotAStore: diskcache wrote this folder, and it was not imported yet. OSError: the folder cannot be made.
    """
    path = os.path.join(directory, file)
    if not os.path.exists(path):
        check_not_theirs(directory, path)
        os.makedirs(directory, 0o755, exist_ok=True)
    return path


def check_not_theirs(directory: str, path: str) -> None:
    """Raises: NotAStore: a database of diskcache is in the folder."""
    sharded = path.endswith(SHARDED_FILE)
    theirs = os.path.join(directory, "000", THEIRS) if sharded else os.path.join(directory, THEIRS)
    if not os.path.lexists(theirs):
        return
    raise NotAStore(
        f"{directory!r} was written by diskcache ({theirs!r}), which runs the code of its pickles as it reads them; "
        f"nothing of it was read. Copy the records with `store import diskcache {quote(directory)} {quote(path)} "
        "--compat`, which runs none of it, and open the folder again; or give an empty folder",
        path=directory,
    )
