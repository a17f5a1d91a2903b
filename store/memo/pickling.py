"""Picklers that take functions of the program itself by value, as joblib does for its workers."""

from __future__ import annotations

import sys
from typing import Any

from store.memo.canonical.names import is_known

BY_VALUE = ("cloudpickle", "cloudpickle_fast", "_dill", "dill")  # modules, in whatever package: joblib has a copy


def is_by_value(named: Any) -> bool:
    """Whether a pickler asks that takes functions by value, and this is one that the reader could not find by name.

    Asked within `__reduce__`, where nothing but the stack tells who pickles: plain `pickle` must have the name, and
    its readers, which multiprocessing started, import the program.
    """
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__") in ("pickle", "_compat_pickle", "copyreg"):
        frame = frame.f_back
    pickler = str(frame.f_globals.get("__name__", "")).rpartition(".")[2]
    return pickler in BY_VALUE and not is_known(named)
