"""The classes that a program declared loadable, whoever wrote the record.

Here and not in `trust` or `codecs`, because both the decoders (which load them) and the public `allow`
need it, and neither of those packages may import the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from types import ModuleType
from typing import Any, TypeVar

Allowed = dict[tuple[str, str], Any]
"""(module, qualified name) → the object itself: a global is looked up here, never imported."""

T = TypeVar("T", bound=type)

_declared: Allowed = {}


def allow(cls: T) -> T:
    """Declare a class of yours loadable whoever wrote the record; use it as a decorator or as a call.

    Its `__setstate__`, `__reduce__` result or `__new__` then runs on data that somebody else may have
    written, so it should not do more with it than keep it.

    Raises:
        TypeError: `cls` is not a class.
    """
    if not isinstance(cls, type):
        raise TypeError(f"store.allow takes a class, not {cls!r}")
    _declared[key_of(cls)] = cls
    return cls


def allowed(extra: Iterable[type | str] = ()) -> Allowed:
    """Everything declared with `allow`, and `extra`: classes, or exact dotted names of classes.

    Raises:
        TypeError: an entry is neither. ValueError: a dotted name names no class.
    """
    entries = entries_of(extra)
    if not entries:
        return _declared
    found = dict(_declared)
    for entry in entries:
        found.update(_resolve(entry))
    return found


def entries_of(extra: Iterable[type | str]) -> tuple[type | str, ...]:
    """What `allow=` was given. Raises: TypeError: it is not a sequence."""
    if isinstance(extra, str):
        raise TypeError(f"allow takes a sequence of classes, not a str: write allow=[{extra!r}]")
    if isinstance(extra, type):
        raise TypeError(f"allow takes a sequence of classes, not one: write allow=[{extra.__qualname__}]")
    try:
        return tuple(extra)
    except TypeError:
        raise TypeError(f"allow takes a sequence of classes and dotted names, not {extra!r}") from None


def key_of(cls: type) -> tuple[str, str]:
    """How a pickle names a class."""
    return cls.__module__, cls.__qualname__


def _resolve(entry: type | str) -> Allowed:
    """A class under the name that pickles give it, and under the dotted name it was asked for by.

    The two differ where a class was moved and its old module still offers it: older records have the old name.
    """
    if isinstance(entry, type):
        return {key_of(entry): entry}
    if not isinstance(entry, str):
        raise TypeError(f"allow takes classes and dotted names, not {entry!r}")
    module, name = _imported(entry)
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, type):
        raise ValueError(f"allow={entry!r}: there is no class of that dotted name here; write it as module.Class")
    return {key_of(found): found, (module.__name__, name): found}


def _imported(dotted: str) -> tuple[ModuleType, str]:
    """The longest part of a dotted name that is a module, imported, and the rest: the class may be a nested one."""
    module, _, name = dotted.rpartition(".")
    while module and all(map(str.isidentifier, module.split("."))):
        try:
            return import_module(module), name
        except ModuleNotFoundError as exc:
            if not f"{module}.".startswith(f"{exc.name}."):
                raise  # the module is there, and lacks one that it needs
            module, _, outer = module.rpartition(".")
            name = f"{outer}.{name}"
    raise ValueError(f"allow={dotted!r}: there is no such module here; write it as module.Class")
