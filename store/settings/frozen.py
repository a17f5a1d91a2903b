"""Values as a field gives them: copies that refuse changes, which would be lost.

A list, set, dict or object is given as one of a subclass that refuses changes, whose `__class__` is the plain one. It
is equal to the plain value, is one to `isinstance`, and is plain again when it is copied, pickled or added to.
"""

from __future__ import annotations

import copy
import dataclasses
from collections import defaultdict, deque
from collections.abc import Callable
from functools import cache
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
    """The value that a field gives, as `Prefs.recent`: it refuses changes at any depth."""
    cls: Any = type(value)
    if isinstance(value, _CONTAINERS):
        return _container(value, _frozen_class(cls, field), lambda part: frozen(part, field))
    if cls is tuple:
        return tuple(frozen(part, field) for part in value)
    if not (field_names(cls) or hasattr(cls, "__pydantic_validator__")):
        return value
    parts = _parts(value)
    made = {name: part if name.startswith("__") else frozen(part, field) for name, part in parts.items()}
    parameters = getattr(cls, "__dataclass_params__", None)
    if parameters is not None and parameters.frozen and all(made[name] is part for name, part in parts.items()):
        return value  # nothing in it can be changed
    return _twin(_frozen_class(cls, field), made)


def thawed(value: Any) -> Any:
    """A plain copy of a frozen value, and of a container with such values in it; anything else as it is."""
    cls: Any = type(value)
    if issubclass(cls, Frozen):
        cls = value.__class__
        if not isinstance(value, _CONTAINERS):
            return _twin(cls, {name: thawed(part) for name, part in _parts(value).items()})
    elif cls not in _CONTAINERS:
        return tuple(map(thawed, value)) if cls is tuple else value
    return _container(value, cls, thawed)


def field_names(cls: Any) -> list[str]:
    """The names of the fields of a dataclass or an attrs class; none for another class."""
    found = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else getattr(cls, "__attrs_attrs__", ())
    return [field.name for field in found]


class Frozen:
    """The base of the classes of frozen values; it comes before the plain class."""

    __slots__ = ()

    def __init_subclass__(cls, **_: Any) -> None:
        """Nothing: a hook of the plain class must not run for its frozen subclass."""

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
            f"`with settings.edit(prefs, {name!r}) as value:`, which stores it, or assign a changed copy.deepcopy"
        )

    names = field_names(cls)

    def set_attribute(self: Any, name: str, value: Any) -> None:
        if not name.startswith("_") or name in names:
            refuse(self)
        cls.__setattr__(self, name, value)  # it is not stored: a result that a method keeps, say

    body: dict[str, Any] = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__slots__": ()}
    body["__class__"] = property(lambda self: cls)
    if not issubclass(cls, _CONTAINERS):
        body.update(__setattr__=set_attribute, __delattr__=refuse)
    else:
        body.update({name: refuse for name in _CHANGES if hasattr(cls, name)})
        body.update({name: _by_plain(name) for name in _OPERATORS if hasattr(cls, name)})
        if issubclass(cls, defaultdict):
            body["__missing__"] = refuse  # it would add the key
        body.update(copy=thawed, __repr__=lambda self: repr(thawed(self)))
        body["__new__"] = lambda _, *args, **named: cls(*args, **named)  # `type(value)(…)`, as asdict makes copies
    return type.__new__(type(cls), cls.__name__, (Frozen, cls), body)


def _by_plain(name: str) -> Callable[..., Any]:
    """An operator, which makes a new value, on the plain value: `prefs.recent += [x]` is an assignment."""
    return lambda self, *others: getattr(thawed(self), name)(*others)


def _container(value: Any, cls: type, make: Callable[[Any], Any]) -> Any:
    """A list, set, dict or deque of that class, with what is made of each part."""
    base: Any = next(one for one in cls.__mro__ if not issubclass(one, Frozen))
    made = base.__new__(cls)
    if isinstance(value, dict):
        for key in value:
            base.__setitem__(made, key, make(dict.__getitem__(value, key)))
        if isinstance(value, defaultdict):
            made.default_factory = value.default_factory
    else:
        more = [value.maxlen] if isinstance(value, deque) else []
        base.__init__(made, [make(part) for part in value], *more)
    return made


def _parts(value: Any) -> dict[str, Any]:
    """The attributes of an object by name, those in slots too, without any code of its class."""
    state: Any = object.__getstate__(value)
    inside, slots = state if isinstance(state, tuple) else (state, {})
    return {**slots, **(inside or {})}


def _twin(cls: Any, parts: dict[str, Any]) -> Any:
    """An object of that class with those attributes, made without any code of its class."""
    made = object.__new__(cls)
    for name, part in parts.items():
        object.__setattr__(made, name, part)
    return made
