"""Values as people type them: JSON, or a Python literal."""

from __future__ import annotations

import ast
import json
import threading
import warnings
from typing import Any

_filters = threading.Lock()  # of two threads that change the filters of warnings, the last restores the wrong ones


def value_of(text: str) -> Any:
    """The value of a text in JSON, or else of a Python literal; no code in it is run. Raises: ValueError: neither."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        pass
    try:
        with _filters, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of '\d', which is valid
            return ast.literal_eval(text.strip())
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise ValueError("it is neither JSON nor a Python literal") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
