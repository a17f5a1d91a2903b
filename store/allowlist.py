"""The classes that a program declared loadable, whoever wrote the record.

Here and not in `trust` or `codecs`, because both the decoders (which load them) and the public `allow`
need it, and neither of those packages may import the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
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
    if not extra:
        return _declared
    if isinstance(extra, str | type):
        raise TypeError(f"allow takes a sequence of classes, not {extra!r}: write allow=[{extra!r}]")
    return {**_declared, **{key_of(cls): cls for cls in map(_resolve, extra)}}


def key_of(cls: type) -> tuple[str, str]:
    """How a pickle names a class."""
    return cls.__module__, cls.__qualname__


def _resolve(entry: type | str) -> type:
    if isinstance(entry, type):
        return entry
    if not isinstance(entry, str):
        raise TypeError(f"allow takes classes and dotted names, not {entry!r}")
    module, _, name = entry.rpartition(".")
    try:
        found = getattr(import_module(module), name) if module else None
    except (ImportError, AttributeError) as exc:
        raise ValueError(f"allow={entry!r}: there is no such class here ({exc})") from exc
    if not isinstance(found, type):
        raise ValueError(f"allow={entry!r} is not the dotted name of a class")
    return found
