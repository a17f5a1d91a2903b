"""The names by which every process knows functions and classes, however its program was started."""

from __future__ import annotations

import os
import sys
from typing import Any

MAIN = ("__main__", "__mp_main__")  # the second is the program in a process that multiprocessing started
HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class that was made at run time


def name_of(named: Any) -> str:
    """Module and qualified name of a function or class.

    The program itself, `__main__` here and another module elsewhere, is named by its spec or its file; but not for
    its classes: in a worker of joblib nothing tells which file they came from.
    """
    module = getattr(named, "__module__", None) or ""
    if module in MAIN:
        module = "__main__" if isinstance(named, type) else _program(named, module)
    return f"{module}:{named.__qualname__}"


def _program(named: Any, module: str) -> str:
    variables = getattr(named, "__globals__", None) or {}
    if variables.get("__name__") != module:
        variables = getattr(sys.modules.get(module), "__dict__", {})
    spec, file = variables.get("__spec__"), variables.get("__file__")
    if spec is not None:
        return str(spec.name)
    return "__main__" if file is None else os.path.realpath(file)


def is_reachable(named: Any) -> bool:
    """Whether the module has that very function or class under its name."""
    found: Any = sys.modules.get(getattr(named, "__module__", None) or "")
    for part in getattr(named, "__qualname__", "").split("."):
        found = getattr(found, "__dict__", {}).get(part)
    return found is named


def is_known(named: Any) -> bool:
    """Whether its name identifies it: it is built in, or was imported.

    The name of a function or class of the program itself, or of a notebook, stays while its code changes.
    """
    if isinstance(named, type) and not named.__flags__ & HEAP_TYPE:
        return True
    return getattr(named, "__module__", None) not in MAIN and is_reachable(named)
