"""Names of the standard library that differ between Python versions, as pickles have them.

A pickle names a class by the module that defines it, and that is another one in another Python: 3.13 writes a
`pathlib.Path` as `pathlib._local.PosixPath`, which 3.12 does not know. To make the tables, every class and function
of the standard library was listed under the name that pickle gives it, in 3.8 to 3.13, and looked up in the others.
What was removed for good is not in them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FunctionType
from typing import Any

_MODULES = [
    ("pathlib._local", "pathlib"),  # 3.13
    ("zipfile._path", "zipfile"),  # 3.12
    ("importlib.resources._functional", "importlib.resources"),  # 3.13
    ("importlib.resources._legacy", "importlib.resources"),  # 3.11 and 3.12
    ("importlib._common", "importlib.resources"),  # 3.9 and 3.10
    ("importlib.readers", "importlib.resources.readers"),  # up to 3.10
    ("importlib.abc", "importlib.resources.abc"),  # up to 3.10
    ("annotationlib", "typing"),  # 3.14
    ("genericpath", "os.path"),  # functions, one by one since 3.12
    ("_sha512", "hashlib"),  # up to 3.11
    ("_sha2", "hashlib"),  # 3.12
    ("__mp_main__", "__main__"),  # what multiprocessing calls a program in its workers
    ("__main__", "__mp_main__"),  # as long as a worker imports the program
]  # fmt: skip
_NAMES = [
    ("re.PatternError", "re.error"),  # 3.13
    ("enum.EnumDict", "enum._EnumDict"),  # 3.13
    ("collections._deque_iterator", "_collections._deque_iterator"),  # 3.12
    ("collections._deque_reverse_iterator", "_collections._deque_reverse_iterator"),  # 3.12
    ("_thread.lock", "_thread.LockType"),  # 3.13
    ("posix._path_splitroot_ex", "posixpath.splitroot"),  # 3.13
]


def other_names(module: str, name: str) -> Iterator[tuple[str, str]]:
    """Where a global of that name is in other Pythons, as module and qualified name; none for most."""
    for old, new in _MODULES:
        if module == old:
            yield new, name
    dotted = f"{module}.{name}"
    for old, new in _NAMES:
        if dotted == old:
            found, _, last = new.rpartition(".")
            yield found, last


WORKER_MAIN = "__mp_main__"


def claim_main(body: bytes) -> bool:
    """Whether a pickle names what a worker calls `__mp_main__`, and another one will name `__main__` in its place.

    A worker that multiprocessing starts afresh imports the program as `__mp_main__`, and has it as `__main__` too.
    Elsewhere only the latter is there, so the program's classes and functions are made to say so, as they do in the
    process that started it.
    """
    program = sys.modules.get(WORKER_MAIN)
    if program is None or program.__name__ != WORKER_MAIN or WORKER_MAIN.encode() not in body:
        return False
    if sys.modules.get("__main__") is not program:  # it is being imported
        return False
    renamed = [_renamed(found) for found in list(vars(program).values())]  # all of them, not up to the first
    return any(renamed)


def _renamed(found: Any) -> bool:
    """Whether it was one of the program's, and says so now; so do classes and methods in a class."""
    if not isinstance(found, type | FunctionType) or found.__module__ != WORKER_MAIN:
        return False
    try:
        found.__module__ = "__main__"
    except (AttributeError, TypeError):  # the class of the class forbids it
        return False
    for inner in list(vars(found).values()):
        _renamed(inner)
    return True
