"""The classes that a program declared loadable from any record.

Here and not in `trust` or `codecs`, because both the decoders (which load them) and the public `allow`
need it, and neither of those packages may import the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any, TypeVar

from store.classes.dotted import imported
from store.classes.moved import other_names

Allowed = dict[tuple[str, str], Any]
"""(module, qualified name) → the object itself: a global is looked up here, never imported."""

T = TypeVar("T", bound=type)

# With an object of these a record could call functions, run code or reach the system: never allowed, not even by
# a program that asks for it. Exceptions defined there are harmless, and so are the classes excepted by name.
_NEVER_FROM = set("""
    _ctypes _frozen_importlib _frozen_importlib_external _operator _pickle _posixsubprocess _thread asyncio bdb code
    codeop concurrent copyreg ctypes dis functools importlib inspect linecache marshal multiprocessing nt operator os
    pdb pickle pickletools pkgutil posix pty runpy shelve shutil signal site socket subprocess sys sysconfig tempfile
    threading timeit trace types webbrowser zipimport
""".split())  # fmt: skip
_NEVER = {
    ("builtins", name) for name in ("type", "super", "property", "classmethod", "staticmethod", "map", "filter")
}
_NEVER |= {("_io", "FileIO"), ("_io", "TextIOWrapper")}
_HARMLESS = {("types", "SimpleNamespace")}

_declared: Allowed = {}


def allow(cls: T) -> T:
    """Declare a class of yours loadable from any record; use it as a decorator or as a call.

    Its `__setstate__`, `__reduce__` result or `__new__` then runs on data that somebody else may have
    written, so it should not do more with it than keep it.

    Raises:
        TypeError: `cls` is not a class. ValueError: it is one of those that no record may ever use.
    """
    if not isinstance(cls, type):
        raise TypeError(f"store.allow takes a class, not {cls!r}")
    _refuse_dangerous(cls)
    _declared[key_of(cls)] = cls
    return cls


def allowed(extra: Iterable[type | str] = ()) -> Allowed:
    """Everything declared with `allow`, and `extra`: classes, or exact dotted names of classes.

    "package.module.*" stands for the classes that are defined in that module, and for nothing else.

    Raises:
        TypeError: an entry is neither. ValueError: a dotted name names no class, or one that is never allowed.
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
        _refuse_dangerous(entry)
        return {key_of(entry): entry}
    if not isinstance(entry, str):
        raise TypeError(f"allow takes classes and dotted names, not {entry!r}")
    if entry.endswith(".*"):
        return _all_of_module(entry)
    module, name = _imported(entry)
    there = found = _inside(module, name)
    written = module.__name__, name
    if not isinstance(found, type):
        outer, _, last = entry.rpartition(".")
        found, written = _of_other_python(outer, last), (outer, last)
    if not isinstance(found, type):
        what = (
            "write it as module.Class"
            if there is None
            else "it names something else, and only classes can be allowed"
        )
        raise ValueError(f"allow={entry!r}: there is no class of that dotted name here; {what}")
    _refuse_dangerous(found)
    return {key_of(found): found, written: found}


def _inside(module: ModuleType, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _of_other_python(module: str, name: str) -> Any:
    """What this Python has under another name than the one that wrote it: `re.PatternError` is `re.error`."""
    for other, its_name in other_names(module, name):
        found = imported(f"{other}.{its_name}")
        if found is not None and isinstance(_inside(*found), type):
            return _inside(*found)
    return None


def _all_of_module(entry: str) -> Allowed:
    """The classes that a module defines; what it imported from elsewhere stays out."""
    module, rest = _imported(entry)
    if rest != "*":
        raise ValueError(f"allow={entry!r}: only a module can stand before the star, and {rest[:-2]!r} is none")
    classes = [
        found for found in vars(module).values() if isinstance(found, type) and found.__module__ == module.__name__
    ]
    for found in classes:
        _refuse_dangerous(found)
    return {key_of(found): found for found in classes}


def _refuse_dangerous(cls: type) -> None:
    """Raises: ValueError: with an object of this class a record could do more than be data."""
    if is_dangerous(cls.__module__, cls.__qualname__, cls):
        raise ValueError(
            f"{cls.__module__}.{cls.__qualname__} is never allowed: with it a record could call functions or reach "
            "the system"
        )


def is_dangerous(module: str, name: str, cls: type | None = None) -> bool:
    """Whether a class is never allowed, going by its name; exceptions always are, where the class itself is given."""
    if cls is not None:
        if issubclass(cls, BaseException):
            return False
        module, name = key_of(cls)
    listed = (module, name) in _NEVER or module.partition(".")[0] in _NEVER_FROM
    return listed and (module, name) not in _HARMLESS


def _imported(entry: str) -> tuple[ModuleType, str]:
    """The module of a dotted name, and the rest: the class may be a nested one."""
    found = imported(entry)
    if found is None:
        raise ValueError(f"allow={entry!r}: there is no such module here; write it as module.Class")
    return found
