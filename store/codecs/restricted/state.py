"""Sets the attributes and slots of objects of allowed classes, as BUILD asks, without running their code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from store.classes.attributes import check_name, defined, own_dict, slot_of
from store.codecs.restricted.exceptions import set_state
from store.errors import Corrupt


def set_attributes(target: Any, state: Any) -> None:
    """Set a state as the stdlib does by default: a dict for `__dict__`, optionally one for slots. Raises: Corrupt."""
    slots = None
    if type(state) is tuple and len(state) == 2:
        state, slots = state
    if state:
        set_dict(target, state)
    if slots:
        _set_slots(target, slots)


def set_dict(target: Any, state: Any) -> None:
    """Set attributes of an instance. Raises: Corrupt."""
    check_names(state)
    if isinstance(target, BaseException):
        set_state(target, state)
        return
    own = own_dict(target)
    if own is None:
        raise Corrupt(f"{type(target).__qualname__[:80]!r} has no attributes")
    for name, value in state.items():
        check_name(type(target), name, value)
        own[name] = value


def _set_slots(target: Any, slots: Any) -> None:
    check_names(slots)
    for name, value in slots.items():
        slot, own = slot_of(type(target), name), own_dict(target)
        check_name(type(target), name, value)
        if slot is not None:
            slot.__set__(target, value)
        elif own is not None and defined(type(target), name) is None and not isinstance(target, BaseException):
            own[name] = value
        else:
            raise Corrupt(f"{type(target).__qualname__[:80]!r} has no slot {name[:80]!r}")


def check_versioned(cls: type, state: Any) -> None:
    """Raises: Corrupt: attributes that `versioned` will set have names of methods."""
    method = getattr(cls, "__setstate__", None)
    if getattr(method, "__store_original__", method) is not None:
        return  # the class handles its own state
    found = state
    if type(state) is dict and type(state.get("store:version")) is int:
        found = state.get("store:state")
    for part in found if type(found) is tuple else (found,):
        for name, value in part.items() if type(part) is dict else ():
            if type(name) is str:
                check_name(cls, name, value)


def check_names(state: Any) -> None:
    """Raises: Corrupt: the state is not a dict with str keys."""
    if type(state) is not dict or not all(type(name) is str for name in state):
        raise Corrupt("an object's state is not a dict of attributes")


def values_of(state: Any) -> Iterable[Any]:
    """The values of the attributes in a state; a part that is not a dict counts as one value."""
    parts = state if type(state) is tuple else (state,)
    return [value for part in parts for value in (part.values() if type(part) is dict else (part,))]


def uuid_of(cls: Any) -> Callable[[Any], Any] | None:
    """The function that makes a UUID from its state, if the class is `uuid.UUID`; else None."""
    uuid = sys.modules.get("uuid")
    return _uuid if uuid is not None and cls is uuid.UUID else None


def _uuid(state: Any) -> Any:
    from uuid import UUID

    check_names(state)
    number, safe = state.get("int"), state.get("is_safe")
    if type(number) is not int or not 0 <= number < 1 << 128 or not set(state) <= {"int", "is_safe"}:
        raise Corrupt("a UUID's state does not fit")
    if safe not in (None, 0, -1):
        raise Corrupt("a UUID's state does not fit")
    target = object.__new__(UUID)
    target.__setstate__(state)  # type: ignore[attr-defined]
    return target
