"""The kind of a type: from what `typing.get_type_hints` gives to what checks, stores and restores its values."""

from __future__ import annotations

import types
from collections import abc
from enum import Enum
from pathlib import PurePath
from typing import Any, Final, Literal, Union, get_args, get_origin

from store.settings.containers import LISTS, Anything, Choice, Items, Pairs, Tuple
from store.settings.types import LEAVES, NOTHING, Kind, Leaf, Member, OneOf, Path

_ABSTRACT: dict[Any, type] = {
    abc.Sequence: list, abc.MutableSequence: list, abc.Collection: list, abc.Iterable: list, abc.Set: frozenset,
    abc.MutableSet: set, abc.Mapping: dict, abc.MutableMapping: dict,
}  # fmt: skip
_ACCEPTED: dict[Any, tuple[type, ...]] = {
    abc.Sequence: (list, tuple), abc.Collection: LISTS, abc.Iterable: LISTS, abc.Set: (frozenset, set),
}  # fmt: skip


def kind_of(hint: Any, where: str) -> Kind:
    """The kind of a type, as `typing.get_type_hints` gives it. Raises: TypeError: no plain data tells its values."""
    hint = _bare(hint)
    if hint is Any or hint is object:
        return Anything()
    if hint is None:
        return Leaf(NOTHING)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return OneOf(arguments)
    if origin in (Union, types.UnionType):
        return Choice(tuple(kind_of(one, where) for one in arguments))
    if (kind := _container(origin or hint, arguments, where)) is not None:
        return kind
    if isinstance(hint, type) and (kind := _class(hint)) is not None:
        return kind
    name = getattr(hint, "__qualname__", str(hint))
    raise TypeError(
        f"{where} is of type {name}, which Settings cannot store as plain data; use a dataclass, an Enum or a "
        "standard type"
    )


def _bare(hint: Any) -> Any:
    """The type under Annotated, Final, NewType and names for types."""
    while True:
        if hasattr(hint, "__supertype__"):
            hint = hint.__supertype__
        elif hasattr(hint, "__metadata__"):
            hint = hint.__origin__
        elif get_origin(hint) is Final:
            (hint,) = get_args(hint)
        elif type(hint).__name__ == "TypeAliasType":
            hint = hint.__value__
        else:
            return hint


def _container(cls: Any, arguments: tuple[Any, ...], where: str) -> Kind | None:
    made = _ABSTRACT.get(cls, cls) if isinstance(cls, type) else None
    if made is dict:
        key, item = arguments or (Any, Any)
        return Pairs(kind_of(key, where), kind_of(item, where))
    if made is tuple and arguments and arguments[-1] is not Ellipsis:
        return Tuple(tuple(kind_of(one, where) for one in arguments))
    if made in LISTS:
        item = arguments[0] if arguments else Any
        return Items(made, _ACCEPTED.get(cls, (made,)), kind_of(item, where))
    return None


def _class(cls: type) -> Kind | None:
    if cls in LEAVES:
        return Leaf(cls)
    if issubclass(cls, Enum):
        return Member(cls)
    if issubclass(cls, PurePath):
        return Path(cls)
    from store.settings.fields import nested  # which needs kinds to say what the fields of a class are

    return nested(cls)
