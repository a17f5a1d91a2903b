"""From classes to schemas, and from type hints to kinds.

A settings class is a dataclass, an attrs class or a pydantic model. attrs and pydantic take long to import, so their
modules are imported for a class that was made with them, and for no other.
"""

from __future__ import annotations

import copy
import dataclasses
import types
from collections import abc
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from pathlib import PurePath
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from store.classes.shown import shown
from store.settings.containers import Anything, Choice, Items, Nested, Pairs, Part, Tuple
from store.settings.kinds import LEAVES, LISTS, NOTHING, Build, Kind, Raw, Source
from store.settings.leaves import Leaf, Member, OneOf, Path
from store.settings.schema import Field, Schema, no_default

_ABSTRACT: dict[Any, type] = {
    abc.Sequence: list, abc.MutableSequence: list, abc.Collection: list, abc.Iterable: list, abc.Set: frozenset,
    abc.MutableSet: set, abc.Mapping: dict, abc.MutableMapping: dict,
}  # fmt: skip
_ACCEPTED: dict[Any, tuple[type, ...]] = {
    abc.Sequence: (list, tuple), abc.Collection: LISTS, abc.Iterable: LISTS, abc.Set: (frozenset, set),
}  # fmt: skip


def schema_of(cls: Any) -> Schema:
    """The schema of a class. Raises: TypeError, ValueError: the class cannot be kept; says what is wrong with it."""
    if isinstance(cls, type) and hasattr(cls, "__pydantic_validator__") and hasattr(cls, "model_fields"):
        from store.settings.pydantic import schema_of_model

        schema = schema_of_model(cls)
    else:
        schema = _schema_of_fields(cls)
    for name, field in schema.fields.items():
        if name.startswith("_"):
            raise ValueError(
                f"{field.where} cannot be a field: names that begin with _ are for Settings itself; call it e.g. "
                f"{name.strip('_') or 'x'}_"
            )
    return schema


def _schema_of_fields(cls: Any) -> Schema:
    raw = _raw_fields(cls)
    if raw is None:
        advice = "did you forget @dataclass?" if isinstance(cls, type) else "the class itself comes first"
        raise TypeError(f"Settings takes a dataclass, an attrs class or a pydantic model, not {shown(cls)}; {advice}")
    hints = _hints_of(cls)
    fields = {one.name: _field(cls, one, hints) for one in raw}
    has_validators = hasattr(cls, "__post_init__") or hasattr(cls, "__attrs_attrs__")
    return Schema(cls, fields, _builder_of(cls), has_validators)


def _field(cls: type, raw: Raw, hints: Mapping[str, Any]) -> Field:
    where = f"{cls.__name__}.{raw.name}"
    if raw.default is None:
        raise no_default(where, raw.name)
    kind = kind_of(hints.get(raw.name, Any), where)
    try:
        value = raw.default()
        kind.plain(value if raw.converts else kind.take(value, where, Source.PROGRAM), where)
    except (TypeError, ValueError) as exc:
        raise TypeError(f"the default of {where} is none of its own type: {exc}") from exc
    return Field(raw.name, where, kind, raw.default, raw.rule, raw.converts)


def kind_of(hint: Any, where: str) -> Kind:
    """The kind of a type that `typing.get_type_hints` gives. Raises: TypeError: plain data cannot tell its values."""
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
    if hasattr(cls, "__pydantic_core_schema__") and hasattr(cls, "__pydantic_validator__"):
        from store.settings.pydantic import Validated

        return Validated(cls)
    raw = _raw_fields(cls)
    if raw is None:
        return None

    @cache
    def parts() -> Mapping[str, Part]:
        hints = _hints_of(cls)
        return {
            one.name: Part(kind_of(hints.get(one.name, Any), f"{cls.__name__}.{one.name}"), one.default is None)
            for one in raw
        }

    return Nested(cls, parts, _builder_of(cls))


def _raw_fields(cls: Any) -> list[Raw] | None:
    """The fields that a call of a dataclass or an attrs class takes; None for anything else."""
    if not isinstance(cls, type):
        return None
    if "__attrs_attrs__" in cls.__dict__:
        from store.settings.attrs import fields_of

        return fields_of(cls)
    if not dataclasses.is_dataclass(cls):
        return None
    return [Raw(one.name, _default(one)) for one in dataclasses.fields(cls) if one.init]


def _default(field: dataclasses.Field[Any]) -> Callable[[], Any] | None:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory
    if field.default is dataclasses.MISSING:
        return None
    value = field.default
    return lambda: copy.deepcopy(value)  # it may be mutable, and is the class's own


def _builder_of(cls: Any) -> Build:
    """The function that makes objects of a dataclass or an attrs class."""
    if "__attrs_attrs__" in cls.__dict__:
        from store.settings.attrs import builder_of

        return builder_of(cls)
    return lambda held, new: cls(**held, **new)


def _hints_of(cls: type) -> dict[str, Any]:
    """The types of a class's fields. Raises: TypeError: one of them cannot be found."""
    try:
        return get_type_hints(cls)
    except NameError as exc:
        raise TypeError(
            f"the types of {cls.__name__} cannot be found: {exc}; define what they name where the class's module "
            "can see it"
        ) from exc
