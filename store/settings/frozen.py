"""What a field gives, so that a change to it raises: it is a copy, and a change of it would be lost.

A list, set, dict or object is given as one of a subclass that refuses changes, and calls itself what it is in place
of. It is equal to a plain one, is one to `isinstance`, and becomes one when it is copied, pickled or added to.
"""

from __future__ import annotations

import copy
import dataclasses
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from types import MemberDescriptorType
from typing import Any, NoReturn

_CHANGES = (
    "__setitem__ __delitem__ append extend insert pop popitem popleft remove clear "
    "sort reverse setdefault update subtract move_to_end appendleft extendleft rotate add discard difference_update "
    "intersection_update symmetric_difference_update"
).split()
_OPERATORS = (
    "__add__ __mul__ __or__ __and__ __sub__ __xor__ __iadd__ __imul__ __ior__ __iand__ __isub__ __ixor__ union "
    "difference intersection symmetric_difference"
).split()
_CONTAINERS = (list, set, dict, deque)


def frozen(value: Any, field: str) -> Any:
    """The value that a field gives, as `Prefs.recent`: what could be changed in it, at any depth, refuses to be."""
    if isinstance(value, _CONTAINERS):
        return _container(value, _frozen_class(type(value), field), lambda part: frozen(part, field))
    if type(value) is tuple:
        return tuple(frozen(part, field) for part in value)
    if _is_object(value):
        return _frozen_object(value, field)
    return value


def thawed(value: Any) -> Any:
    """A plain copy of what `frozen` gave, and of a container with such in it; anything else as it is."""
    cls = type(value)
    if issubclass(cls, Frozen):
        cls = cls.__mro__[2]
        if not isinstance(value, _CONTAINERS):
            return _twin(cls, {name: thawed(part) for name, part in _parts(value)})
    if issubclass(cls, _CONTAINERS) and (cls in _CONTAINERS or cls is not type(value)):
        return _container(value, cls, thawed)
    return tuple(map(thawed, value)) if cls is tuple else value


class Frozen:
    """What the classes of such values have in common; it comes before the class that each is of."""

    __slots__ = ()

    def __init_subclass__(cls, **_: Any) -> None:
        """Nothing: the program's own class is not to hear of it."""

    def __copy__(self) -> Any:
        return thawed(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(thawed(self), memo)

    def __reduce_ex__(self, protocol: Any) -> Any:
        plain = thawed(self)
        return (type(plain), (plain,)) if type(plain) in (list, set, dict) else plain.__reduce_ex__(protocol)


@cache
def _frozen_class(cls: Any, field: str) -> Any:
    """The subclass for values of a class that a field gives; made past its metaclass, which may keep lists."""

    def refuse(self: Any, *_: Any, **__: Any) -> NoReturn:
        name = field.rpartition(".")[2]
        raise TypeError(
            f"{field} is read as a copy, and this change of it would be lost: make it in "
            f"`with prefs.edit({name!r}) as value:`, which stores it; or assign a changed copy.deepcopy of it"
        )

    body: dict[str, Any] = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__slots__": ()}
    body["__class__"] = property(lambda self: cls)
    if not issubclass(cls, _CONTAINERS):
        body.update(__setattr__=_but_private(cls, refuse), __delattr__=refuse)
    else:
        body.update({name: refuse for name in _CHANGES if hasattr(cls, name)})
        body.update({name: _by_plain(name) for name in _OPERATORS if hasattr(cls, name)})
        if issubclass(cls, defaultdict):
            body["__missing__"] = refuse  # it would add the key
        body.update(copy=thawed, __repr__=lambda self: repr(thawed(self)), __new__=_plain_one(cls))
    return type.__new__(type(cls), cls.__name__, (Frozen, cls), body)


def _but_private(cls: Any, refuse: Callable[..., Any]) -> Callable[[Any, str, Any], None]:
    """Sets what an object keeps for itself and is not stored, such as a result that a method computes once."""
    fields = {field.name for field in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else set()
    fields.update(field.name for field in getattr(cls, "__attrs_attrs__", ()))

    def set_attribute(self: Any, name: str, value: Any) -> None:
        if not name.startswith("_") or name in fields:
            refuse(self)
        cls.__setattr__(self, name, value)

    return set_attribute


def _by_plain(name: str) -> Callable[..., Any]:
    """An operator that makes a new value, of plain ones; `prefs.recent += [x]` is an assignment."""

    def operate(self: Any, *others: Any) -> Any:
        return getattr(thawed(self), name)(*others)

    return operate


def _plain_one(cls: type) -> Callable[..., Any]:
    """`type(value)(…)`, as `dataclasses.asdict` makes copies, makes a plain one."""

    def make(_: type, *args: Any, **named: Any) -> Any:
        return cls(*args, **named)

    return make


# -- making them


def _container(value: Any, cls: type, make: Callable[[Any], Any]) -> Any:
    """A list, set, dict or deque of that class, with what is made of each part."""
    base: Any = next(one for one in cls.__mro__ if not issubclass(one, Frozen))
    if isinstance(value, dict):
        made = base.__new__(cls)
        for key in value:
            base.__setitem__(made, key, make(dict.__getitem__(value, key)))
        if isinstance(value, defaultdict):
            made.default_factory = value.default_factory
        return made
    made = base.__new__(cls)
    more = [value.maxlen] if isinstance(value, deque) else []
    base.__init__(made, [make(part) for part in value], *more)
    return made


def _is_object(value: Any) -> bool:
    cls = type(value)
    return dataclasses.is_dataclass(cls) or hasattr(cls, "__attrs_attrs__") or hasattr(cls, "__pydantic_validator__")


def _frozen_object(value: Any, field: str) -> Any:
    """A twin of an object, or the object itself where nothing in it can be changed."""
    cls: Any = type(value)
    parts = dict(_parts(value))
    made = {name: part if name.startswith("__") else frozen(part, field) for name, part in parts.items()}
    if _is_frozen(cls) and all(made[name] is part for name, part in parts.items()):
        return value
    return _twin(_frozen_class(cls, field), made)


def _is_frozen(cls: Any) -> bool:
    parameters = getattr(cls, "__dataclass_params__", None)
    return bool(parameters is not None and parameters.frozen)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of an object, those in slots too; each by its name, slots before what is in its dict."""
    cls: Any = type(value)
    for name, member in _slots(cls).items():
        with suppress(AttributeError):  # it was never set
            yield name, member.__get__(value)
    yield from getattr(value, "__dict__", {}).items()


@cache
def _slots(cls: Any) -> dict[str, Any]:
    return {
        name: member
        for base in reversed(cls.__mro__)
        for name, member in vars(base).items()
        if isinstance(member, MemberDescriptorType) and name not in ("__dict__", "__weakref__")
    }


def _twin(cls: Any, parts: dict[str, Any]) -> Any:
    """An object of that class with those attributes, made without any code of the class."""
    made: Any = object.__new__(cls)
    slots = _slots(cls)
    for name, part in parts.items():
        if name in slots:
            slots[name].__set__(made, part)
        else:
            made.__dict__[name] = part
    return made
