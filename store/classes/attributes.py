"""Reads and sets the attributes of objects without running a property or any other code of their class."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, NamedTuple

from store.errors import Corrupt

FILLING = frozenset({"append", "extend", "add", "update", "__setitem__", "__setstate__"})
"""Methods with which unpickling fills an object: no attribute of an instance may shadow one."""

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: static types of C modules do not have it


class _Pair(NamedTuple):
    first: Any


_FIELD_TYPES = (MemberDescriptorType, type(vars(_Pair)["first"]))  # slots, and the fields of a named tuple
_MRO, _DICT = vars(type)["__mro__"], vars(type)["__dict__"]  # a metaclass may answer with code of its own
_BOUND = ("__self__", "__func__")  # of methods


def attributes_of(value: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of an object: slots, the fields of C types, and what its `__dict__` holds."""
    cls: Any = type(value)
    members = _members if type(cls) is type else _members.__wrapped__  # other metaclasses may define what is equal
    for name, member in members(cls):
        try:
            yield name, member.__get__(value, cls)
        except (AttributeError, TypeError):  # the slot is empty
            pass
    if issubclass(cls, type):  # the value is a class itself
        yield from _DICT.__get__(value).items()
        return
    try:
        held = object.__getattribute__(value, "__dict__")
    except Exception:  # it has none, or a property of the program replaces it
        return
    if issubclass(type(held), dict):  # `isinstance` would ask what is held
        yield from dict.items(held)


@lru_cache(maxsize=256)
def _members(cls: Any) -> tuple[tuple[str, Any], ...]:
    return tuple(
        (name, member)
        for base in _MRO.__get__(cls)
        for name, member in _DICT.__get__(base).items()
        if type(member) in _FIELD_TYPES or (type(member) is GetSetDescriptorType and name in _BOUND)
    )


def defined(cls: Any, name: str) -> Any:
    """The raw attribute of the class or one of its bases, without binding; None if there is none."""
    held = map(_DICT.__get__, _MRO.__get__(cls))
    return next((one[name] for one in held if name in one), None)


def slot_of(cls: Any, name: str) -> MemberDescriptorType | None:
    """The descriptor of a slot that a `__slots__` in Python defined, or None.

    Members of C types look alike, but setting them can crash the interpreter.
    """
    for base in cls.__mro__:
        if name in vars(base):
            found = vars(base)[name]
            is_slot = (
                type(found) is MemberDescriptorType
                and found.__objclass__ is base
                and bool(base.__flags__ & _HEAP_TYPE)
                and "__slots__" in vars(base)
            )
            return found if is_slot else None
    return None


def own_dict(value: Any) -> dict[str, Any] | None:
    """The `__dict__` of an instance; None if it has none, or a property instead."""
    if type(defined(type(value), "__dict__")) is not GetSetDescriptorType:
        return None
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None
    return found if issubclass(type(found), dict) else None  # `isinstance` would ask what is found


def method_of(value: Any, name: str) -> Any:
    """The bound method of that name from the class, or None; attributes of the instance are ignored."""
    cls = type(value)
    found = defined(cls, name)
    if not (callable(found) or isinstance(found, classmethod | staticmethod)):
        return None  # the record controls the value of a slot or a property
    bind = getattr(type(found), "__get__", None)
    return found if bind is None else bind(found, value, cls)


def check_name(cls: Any, name: str, value: Any) -> None:
    """Raises: Corrupt: an attribute of that name would shadow a method, or be called as one."""
    if name in FILLING and (name.startswith("__") or callable(value) or defined(cls, name) is not None):
        raise Corrupt(f"the state of an object in it has an attribute {name!r}, which is the name of a method")
