"""The names by which every process knows functions and classes, however its program was started."""

from __future__ import annotations

import os
import sys
from typing import Any

MAIN = ("__main__", "__mp_main__")  # the second is the program in a process that multiprocessing started
HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class that was made at run time


def module_name(name: str, variables: dict[str, Any]) -> str:
    """A module's name; of the program itself, which is `__main__` here and another name elsewhere, one that lasts."""
    if name not in MAIN:
        return name
    spec, file = variables.get("__spec__"), variables.get("__file__")
    if spec is not None:
        return str(spec.name)
    return "__main__" if file is None else os.path.realpath(file)


def name_of(named: Any) -> str:
    """Module and qualified name of a function or class.

    The file is not part of the name of the program's own classes: in a worker of joblib nothing tells what it was.
    """
    module = getattr(named, "__module__", None) or ""
    if isinstance(named, type):
        return f"{'__main__' if module in MAIN else module}:{named.__qualname__}"
    variables = getattr(named, "__globals__", None) or {}
    if variables.get("__name__") != module:
        variables = getattr(sys.modules.get(module), "__dict__", {})
    return f"{module_name(module, variables)}:{named.__qualname__}"


def is_reachable(named: Any) -> bool:
    """Whether the module has that very function or class under its name."""
    found: Any = sys.modules.get(getattr(named, "__module__", None) or "")
    for part in getattr(named, "__qualname__", "").split("."):
        found = getattr(found, "__dict__", {}).get(part)
    return found is named


def is_known(named: Any) -> bool:
    """Whether its name tells which one it is: it is built in, or was imported.

    The name of one of the program's own, or of a notebook's, stays while its code changes from run to run.
    """
    if isinstance(named, type) and not named.__flags__ & HEAP_TYPE:
        return True
    return getattr(named, "__module__", None) not in MAIN and is_reachable(named)
