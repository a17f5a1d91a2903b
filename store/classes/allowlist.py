"""The classes that a program declared loadable from any record.

In a package below `codecs` and `trust`, because both need it and neither imports the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any, TypeVar

from store.classes.dotted import imported
from store.classes.moved import other_names

Allowed = dict[tuple[str, str], Any]
"""(module, qualified name) → the object: a global is looked up here, never imported."""

T = TypeVar("T", bound=type)

# Objects of these modules let a record call functions, run code or reach the system: never allowed, even if the
# program asks for it. Exceptions defined there are harmless, and so are the classes excepted by name.
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
    """Declare one of your classes loadable from any record; use it as a decorator or as a call.

    Its `__setstate__`, `__reduce__` result and `__new__` then run on untrusted data, so they should only store it.

    Raises:
        TypeError: `cls` is not a class. ValueError: no record may ever use the class.
    """
    if not isinstance(cls, type):
        raise TypeError(f"store.allow takes a class, not {cls!r}")
    _refuse_dangerous(cls)
    _declared[key_of(cls)] = cls
    return cls


def allowed(extra: Iterable[type | str] = ()) -> Allowed:
    """All classes declared with `allow`, plus `extra`: classes, or exact dotted names of classes.

    "package.module.*" means exactly the classes that are defined in that module.

    Raises:
        TypeError: an entry is neither. ValueError: a name does not lead to a class, or the class is never allowed.
    """
    entries = entries_of(extra)
    if not entries:
        return _declared
    found = dict(_declared)
    for entry in entries:
        found.update(_resolve(entry))
    return found


def entries_of(extra: Iterable[type | str]) -> tuple[type | str, ...]:
    """The entries of `allow=`. Raises: TypeError: it is not a sequence."""
    if isinstance(extra, str):
        raise TypeError(f"allow takes a sequence of classes, not a str: write allow=[{extra!r}]")
    if isinstance(extra, type):
        raise TypeError(f"allow takes a sequence of classes, not one: write allow=[{extra.__qualname__}]")
    try:
        return tuple(extra)
    except TypeError:
        raise TypeError(f"allow takes a sequence of classes and dotted names, not {extra!r}") from None


def key_of(cls: type) -> tuple[str, str]:
    """The (module, qualified name) by which a pickle names a class."""
    return cls.__module__, cls.__qualname__


def _resolve(entry: type | str) -> Allowed:
    """A class under the name that pickles use, and under the dotted name that the program passed.

    They differ if the class was moved and its old module still exports it: older records have the old name.
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
    """The class that this Python has under another name: `re.PatternError` is `re.error`."""
    for other, its_name in other_names(module, name):
        found = imported(f"{other}.{its_name}")
        if found is not None and isinstance(_inside(*found), type):
            return _inside(*found)
    return None


def _all_of_module(entry: str) -> Allowed:
    """The classes that a module defines, without those that it imports."""
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
    """Raises: ValueError: objects of this class can do more than hold data."""
    if is_dangerous(cls.__module__, cls.__qualname__, cls):
        raise ValueError(
            f"{cls.__module__}.{cls.__qualname__} is never allowed: with it a record could call functions or reach "
            "the system"
        )


def is_dangerous(module: str, name: str, cls: type | None = None) -> bool:
    """Whether a class is never allowed, by its name. Exceptions are harmless, which only `cls` shows."""
    if cls is not None:
        if issubclass(cls, BaseException):
            return False
        module, name = key_of(cls)
    listed = (module, name) in _NEVER or module.partition(".")[0] in _NEVER_FROM
    return listed and (module, name) not in _HARMLESS


def _imported(entry: str) -> tuple[ModuleType, str]:
    """The module of a dotted name, and the rest, which may name a nested class."""
    found = imported(entry)
    if found is None:
        raise ValueError(f"allow={entry!r}: there is no such module here; write it as module.Class")
    return found
