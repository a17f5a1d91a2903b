"""The class of a value, and its name, without asking the class: a metaclass may answer with code of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from store.classes.placeholder import StandIn
from store.display.text import cut

T = TypeVar("T")
_MRO = vars(type)["__mro__"]
_MODULE = vars(type)["__module__"]
_QUALNAME = vars(type)["__qualname__"]
_PLAIN_MODULES = frozenset({"builtins", "__main__"})


def is_a(value: Any, *bases: type) -> bool:
    """Whether the class of a value is one of these or derives from one. `isinstance` would ask the value itself."""
    return any(one is base for one in _MRO.__get__(type(value)) for base in bases)


def entry_of(cls: type, table: Mapping[type, T]) -> T | None:
    """The entry of a class in a table of builtin classes. Other metaclasses may define what equal classes are."""
    return table.get(cls) if type(cls) is type else None


def module_of(cls: type) -> str:
    """The module of a class, empty where the class has something else in that place."""
    module = _MODULE.__get__(cls)
    return module if type(module) is str else ""


def short_name(cls: type) -> str:
    """The name of a class without its module: `Point`, `Outer.Inner`."""
    if type(cls) is StandIn:
        return cut(cls.stands_for[1])
    return cut(_QUALNAME.__get__(cls))


def full_name(cls: type) -> str:
    """The name of a class with its module, which is left out for builtins: `dict`, `app.models.Point`."""
    if type(cls) is StandIn:
        return cut(".".join(cls.stands_for))
    module = module_of(cls)
    name = cut(_QUALNAME.__get__(cls))
    return name if module in _PLAIN_MODULES or not module else cut(f"{module}.{name}")
