"""Versioned classes: a version is stored with their state, and older state is upgraded when it is read.

    @store.versioned(2)
    class User:
        @classmethod
        def __upgrade__(cls, state, from_version):
            if from_version < 2:
                state["email"] = None
            return state

The version is part of the state, so it is kept in containers, by `pickle`, `copy` and every codec that pickles.
Classes without a version have no overhead.
"""

from __future__ import annotations

import copyreg
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from inspect import getattr_static
from typing import Any, TypeVar

from store.classes.allowlist import allow, allowed, key_of
from store.classes.attributes import own_dict, slot_of
from store.classes.shown import message_of, shown
from store.errors import Corrupt, UnknownProtocol

T = TypeVar("T", bound=type)

# On disk in the state of every versioned object: do not change.
_VERSION, _STATE = "store:version", "store:state"
_UNVERSIONED = 1  # the version of state written before its class had one

_ATTRIBUTE = "__store_version__"
_IMMUTABLE = (tuple, frozenset, str, bytes, int, float, complex)


def versioned(version: int) -> Callable[[T], T]:
    """A class decorator: stores `version` with the state of each instance, and upgrades older state on reading.

    If the stored version is lower, the classmethod `__upgrade__(cls, state, from_version)` is called and returns
    state of this version; it may change `state` and return it. `state` is a dict of the attributes, slots included;
    for a class that defines `__getstate__`, it is the result of that. State without a version counts as version 1.
    The class is declared with `store.allow` too.

    Put it above `@dataclass`. A subclass shares the version of its base, unless it has its own, which then covers the
    base too: raise it when either changes. State without a version from a class that had no attributes cannot be
    upgraded, because pickle stores no state then.

    Raises:
        TypeError: not a class, it defines `__reduce__`, or it has no classmethod `__upgrade__` (from version 2 on).
        ValueError: the version is not 1 or more.
    """
    if not isinstance(version, int) or isinstance(version, bool):
        raise TypeError(f"a version is an int, not {version!r}: write @store.versioned(2)")
    if not 1 <= version < 2**31:
        raise ValueError(f"a version is 1 or more, not {version}")

    def decorate(cls: T) -> T:
        _check(cls, version)
        getstate, setstate = _own(cls, "__getstate__"), _own(cls, "__setstate__")
        if getstate is None and setstate is not None:
            getstate = object.__getstate__  # it expects the default state of Python
        methods = {
            _ATTRIBUTE: version,
            "__getstate__": _getstate(getstate),
            "__setstate__": _setstate(setstate, is_free=getstate is not None),
        }
        for name, method in methods.items():
            setattr(cls, name, method)
        return allow(cls)

    return decorate


@contextmanager
def upgrades() -> Iterator[list[str]]:
    """A list that receives a line for each upgrade in this thread inside the block."""
    before, _seen.lines = _seen.lines, []
    try:
        yield _seen.lines
    finally:
        _seen.lines = before


class _Seen(threading.local):
    lines: list[str] | None = None


_seen = _Seen()


def _check(cls: Any, version: int) -> None:
    if not isinstance(cls, type):
        raise TypeError(f"store.versioned({version}) decorates a class, not {cls!r}")
    if any(getattr_static(cls, name) is not vars(object)[name] for name in ("__reduce__", "__reduce_ex__")):
        raise TypeError(
            f"{cls.__qualname__} says in a __reduce__ of its own how it is pickled, so no version can be stored with "
            "its state: use __getstate__ and __setstate__ instead"
        )
    if issubclass(cls, _IMMUTABLE):
        raise TypeError(f"{cls.__qualname__} is immutable, so no state can be set on its instances")
    upgrade = getattr_static(cls, "__upgrade__", None)
    if upgrade is None and version > _UNVERSIONED:
        raise TypeError(
            f"{cls.__qualname__} is at version {version}, and has nothing to bring older state there: give it a "
            "classmethod __upgrade__(cls, state, from_version) that returns the state"
        )
    if upgrade is not None and not isinstance(upgrade, classmethod):
        raise TypeError(f"{cls.__qualname__}.__upgrade__ must be a classmethod: no object is there yet")


def _own(cls: type, name: str) -> Any:
    """The method that the class or a base defines, without our wrapper; None for Python's defaults."""
    found = getattr(cls, name, None)
    found = getattr(found, "__store_original__", found)
    is_default = found is getattr(object, name, None) or getattr(found, "__module__", None) == "dataclasses"
    return None if is_default else found


def _is_ours(method: Any) -> bool:
    return hasattr(method, "__store_original__")


def _check_is_decorated(cls: Any) -> None:
    """Raises: TypeError: the version would be omitted, or be that of another class."""
    if not _is_ours(cls.__getstate__):
        raise TypeError(
            f"{cls.__qualname__} has a __getstate__ of its own, which leaves the version out that its base stores: "
            "put @store.versioned above it too"
        )
    declared: Any = allowed().get(key_of(cls), cls)
    if declared is not cls and vars(declared).get("__getstate__") is vars(cls).get("__getstate__", cls):
        raise TypeError(  # it has the methods of the decorated class: it is a copy of that
            f"@store.versioned was given another class than this {cls.__qualname__}: put it above @dataclass and "
            "other decorators that create a new class"
        )


def _getstate(original: Any) -> Any:
    def __getstate__(self: Any) -> Any:
        cls: Any = type(self)
        state = _attributes(self) if original is None else original(self)
        if cls.__getstate__ is not __getstate__ and _is_ours(cls.__getstate__):
            return state  # called by `super()` from a versioned class
        _check_is_decorated(cls)
        return {_VERSION: getattr(cls, _ATTRIBUTE), _STATE: state}

    __getstate__.__store_original__ = original  # type: ignore[attr-defined]
    return __getstate__


def _setstate(original: Any, *, is_free: bool) -> Any:
    def __setstate__(self: Any, stored: Any) -> None:
        cls: Any = type(self)
        if cls.__setstate__ is not __setstate__ and _is_ours(cls.__setstate__):
            state = stored  # passed on by `super()`, already upgraded
        else:
            state = _upgraded(cls, stored, is_free)
        if original is None:
            _give(self, _as_dict(state))
        elif state is not None:  # unpickling calls no method for it
            original(self, state)

    __setstate__.__store_original__ = original  # type: ignore[attr-defined]
    return __setstate__


def _upgraded(cls: Any, stored: Any, is_free: bool) -> Any:
    """The state at the version of the class. `is_free`: it need not be a dict of attributes."""
    version, state = _UNVERSIONED, stored
    if type(stored) is dict and stored.keys() == {_VERSION, _STATE}:
        version, state = stored[_VERSION], stored[_STATE]
    known = getattr(cls, _ATTRIBUTE)
    name = f"{cls.__module__}.{cls.__qualname__}"
    if type(version) is not int or version < _UNVERSIONED:
        raise Corrupt(f"the version of a {name} in it is {shown(version, 40)}, which is no version")
    if version > known:
        raise UnknownProtocol(
            f"it holds a {name} of version {version}, and this program knows versions up to {known}; the record is "
            "intact: upgrade the program to read it"
        )
    if not is_free:
        state = _as_dict(state)
    if version == known:
        return _fields(cls, state) if type(state) is list and not is_free else state
    return _called(cls, name, state, version, is_free)


def _called(cls: Any, name: str, state: Any, version: int, is_free: bool) -> Any:
    """The state returned by `__upgrade__`."""
    try:
        new = cls.__upgrade__(state, version)
    except Exception as exc:
        raise Corrupt(
            f"{name}.__upgrade__ could not bring version {version} to {getattr(cls, _ATTRIBUTE)} "
            f"({type(exc).__name__}: {message_of(exc)}); the record stays as it is: mend __upgrade__"
        ) from exc
    if new is None or (not is_free and type(new) is not dict):
        raise Corrupt(
            f"{name}.__upgrade__ returned {type(new).__name__} and must return the new state, a dict of attributes "
            "unless the class has a __getstate__; the record stays as it is: mend __upgrade__"
        )
    if _seen.lines is not None:
        _seen.lines.append(f"{name} {version} → {getattr(cls, _ATTRIBUTE)}")
    return new


def _attributes(value: Any) -> dict[str, Any]:
    """All attributes of an object, in slots too, as one dict."""
    found = dict(getattr(value, "__dict__", {}))
    for name in copyreg._slotnames(type(value)):  # type: ignore[attr-defined]
        try:
            found[name] = getattr(value, name)
        except AttributeError:
            pass  # the slot is empty
    return found


def _as_dict(state: Any) -> Any:
    """The default state of Python as one dict: a dict, a pair of dicts with slots, or None."""
    if state is None:
        return {}
    if type(state) is tuple and len(state) == 2 and all(part is None or type(part) is dict for part in state):
        return {**(state[0] or {}), **(state[1] or {})}
    return state


def _fields(cls: type, state: list[Any]) -> Any:
    """The state of a frozen dataclass with slots from before it was versioned: values in the order of the fields."""
    names = [field.name for field in fields(cls)] if is_dataclass(cls) else []
    return dict(zip(names, state, strict=True)) if len(names) == len(state) else state


def _give(value: Any, state: Any) -> None:
    """Set attributes as unpickling does, without calling `__setattr__` or properties."""
    if type(state) is not dict or not all(type(name) is str for name in state):
        raise Corrupt(
            f"the state of a {type(value).__qualname__} in it is {type(state).__name__}, no dict of attributes: "
            "it was written before the class was versioned; make a dict of it in __upgrade__"
        )
    own = own_dict(value)
    for name, item in state.items():
        slot = slot_of(type(value), name)
        if slot is not None:
            slot.__set__(value, item)
        elif own is not None:
            own[name] = item
        else:
            raise Corrupt(
                f"{type(value).__qualname__} has no slot for the attribute {name[:80]!r} that was stored: drop it in "
                "__upgrade__, or bring the slot back"
            )
