"""Dotted names of classes and functions: which part is the module."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType


def splits(dotted: str) -> Iterator[tuple[str, str]]:
    """The (module, qualified name) pairs that a dotted name can mean, the longest module first."""
    module, _, name = dotted.rpartition(".")
    while module:
        yield module, name
        module, _, outer = module.rpartition(".")
        name = f"{outer}.{name}"


def imported(dotted: str) -> tuple[ModuleType, str] | None:
    """(the imported module with the longest matching name, the rest of the name); None if there is no such module.

    Raises:
        ImportError: a module exists, but cannot be imported.
    """
    for module, rest in splits(dotted):
        if not all(map(str.isidentifier, module.split("."))):
            continue
        try:
            return import_module(module), rest
        except ModuleNotFoundError as exc:
            if not f"{module}.".startswith(f"{exc.name}."):
                raise  # the module exists, but one that it imports is missing
    return None
