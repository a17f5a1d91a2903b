"""Dotted names of classes and functions: which part is the module."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType


def splits(dotted: str) -> Iterator[tuple[str, str]]:
    """The pairs of module and qualified name that a dotted name can stand for, the longest module first."""
    module, _, name = dotted.rpartition(".")
    while module:
        yield module, name
        module, _, outer = module.rpartition(".")
        name = f"{outer}.{name}"


def imported(dotted: str) -> tuple[ModuleType, str] | None:
    """The longest part of a dotted name that is a module, imported, and the rest; None where there is none.

    Raises:
        ImportError: a module is there, and cannot be imported.
    """
    for module, rest in splits(dotted):
        if not all(map(str.isidentifier, module.split("."))):
            continue
        try:
            return import_module(module), rest
        except ModuleNotFoundError as exc:
            if not f"{module}.".startswith(f"{exc.name}."):
                raise  # the module is there, and lacks one that it needs
    return None
