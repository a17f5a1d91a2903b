"""Checks that what a function uses is still what it was when its form was made: a few instructions each."""

from __future__ import annotations

from collections.abc import Callable
from types import CellType, FunctionType
from typing import Any, TypeAlias

MISSING: Any = object()
Check: TypeAlias = Callable[[], bool]


def is_empty(cell: CellType) -> bool:
    try:
        return cell.cell_contents is MISSING
    except ValueError:
        return True


def never() -> bool:
    return False


def same_function(fn: FunctionType) -> Check:
    code, defaults, keyword_defaults = fn.__code__, fn.__defaults__, fn.__kwdefaults__
    return lambda: fn.__code__ is code and fn.__defaults__ is defaults and fn.__kwdefaults__ is keyword_defaults


def same_cell(cell: CellType, value: Any) -> Check:
    def check() -> bool:
        return is_empty(cell) if value is MISSING else not is_empty(cell) and cell.cell_contents is value

    return check


def same_global(variables: dict[str, Any], name: str, value: Any) -> Check:
    return lambda: variables.get(name, MISSING) is value


def same_class(cls: type[Any]) -> Check:
    """Whether nobody sets another attribute of the class."""
    held = dict(cls.__dict__)

    def check() -> bool:
        now = cls.__dict__
        return len(now) == len(held) and all(now.get(name, MISSING) is value for name, value in held.items())

    return check
