"""Names of the standard library that differ in pickles of different Python versions.

A pickle names a class by the module that defines it, which differs between Pythons: 3.13 writes a `pathlib.Path` as
`pathlib._local.PosixPath`, which 3.12 does not know. To make the tables, every class and function of the standard
library was listed by its name in pickles of 3.8 to 3.13, and looked up in the other versions. The tables omit classes
that were removed without replacement.
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
    ("__mp_main__", "__main__"),  # name of the main program in workers of multiprocessing
    ("__main__", "__mp_main__"),  # while a worker imports the program
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
    """The (module, qualified name) pairs of a global in other Pythons; most have none."""
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
    """Rename classes of `__mp_main__` in a pickle to `__main__`; True if the value must be pickled again.

    A worker that multiprocessing spawns imports the program as `__mp_main__`, and also has it as `__main__`. Other
    processes have only the latter, so the `__module__` of the program's classes and functions is changed to it.
    """
    program = sys.modules.get(WORKER_MAIN)
    if program is None or program.__name__ != WORKER_MAIN or WORKER_MAIN.encode() not in body:
        return False
    if sys.modules.get("__main__") is not program:  # it is being imported
        return False
    renamed = [_renamed(found) for found in list(vars(program).values())]  # all of them, not up to the first
    return any(renamed)


def _renamed(found: Any) -> bool:
    """Change the module of a class or function of the program, and of its members; whether it was one."""
    if not isinstance(found, type | FunctionType) or found.__module__ != WORKER_MAIN:
        return False
    try:
        found.__module__ = "__main__"
    except (AttributeError, TypeError):  # the metaclass forbids it
        return False
    for inner in list(vars(found).values()):
        _renamed(inner)
    return True
