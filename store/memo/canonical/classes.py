"""Canonical forms of classes, and of values that are known by their class: enum members, dataclasses, namedtuples.

A class that was imported counts by its name. One that a function made, by `type()` or a class statement, shares that
name with others, and counts by what is in it; so does a class of the program itself, which changes from run to run.
"""

from __future__ import annotations

import copyreg
import dataclasses
import functools
import inspect
from collections.abc import Iterator
from enum import Enum
from types import FunctionType
from typing import Any

from store.memo.canonical.checks import same_class
from store.memo.canonical.functions import CodeWriter, is_constant, write_function
from store.memo.canonical.names import is_known, is_reachable, name_of
from store.memo.canonical.writer import REAL, Writer, described

GENERATED = frozenset(  # names that Python puts into classes
    """
    __slotnames__ _is_protocol _is_runtime_protocol __protocol_attrs__ __callable_proto_members_only__
    __non_callable_proto_members__
    __module__ __qualname__ __dict__ __weakref__ __doc__ __firstlineno__ __static_attributes__
    __annotations__ __annotate__ __annotate_func__ __annotations_cache__ __classdictcell__
    __abstractmethods__ _abc_impl __parameters__ __orig_bases__ __dataclass_fields__
    __dataclass_params__ __match_args__ _fields _field_defaults _make _replace _asdict __getnewargs__
    __replace__ _member_names_ _member_map_ _value2member_map_ _unhashable_values_ _hashable_values_
    _unhashable_values_map_ _member_type_ _value_repr_ _use_args_ _new_member_ _flag_mask_
    _singles_mask_ _all_bits_ _boundary_ _inverted_ __new_member__ _generate_next_value_ _sort_order_
    _use_args
    """.split()
)
GENERATORS = ("abc", "collections", "dataclasses", "enum", "typing")
HOLDERS = (staticmethod, classmethod, property, functools.cached_property)


def write_classed(writer: Writer, value: Any) -> bool:
    """Whether it was a class, or one of the values that are known by their class."""
    kind = type(value)
    if isinstance(value, type):
        write_class(writer, value)
    elif isinstance(value, Enum):
        _write_member(writer, value)
    elif hasattr(kind, "__memo_key__"):
        writer.sequence("__memo_key__", (name_of(kind), value.__memo_key__()))
    elif dataclasses.is_dataclass(value) and not _is_builtin(value):
        writer.sequence("dataclass", (kind, _fields(value)))
    elif isinstance(value, tuple) and kind.__bases__ == (tuple,) and hasattr(kind, "_fields"):
        writer.sequence("namedtuple", (kind, kind._fields, tuple(value)))
    elif kind.__module__ == "freezegun.api" and isinstance(value, REAL[0]):  # it stands in for the real one
        writer.write(_unfrozen(value))
    else:
        return False
    return True


def write_class(writer: Writer, cls: type[Any]) -> None:
    if not _counts_by_content(writer, cls):
        writer.text("class", name_of(cls))
        return
    if writer.is_repeated(cls):
        return
    writer.text("own class", name_of(cls))
    if isinstance(writer, CodeWriter):
        writer.checks.append(same_class(cls))
    with writer.allowing_functions():
        writer.sequence("bases", (*cls.__bases__, type(cls)))
        if issubclass(cls, Enum):
            writer.sequence("members", ((name, one.value) for name, one in cls.__members__.items()))
        if "_fields" in cls.__dict__:
            writer.sequence("fields", (cls._fields, getattr(cls, "_field_defaults", None)))
        if "__dataclass_fields__" in cls.__dict__:
            for field in dataclasses.fields(cls):
                _write_attribute(writer, cls, _field(field))
        for name, value in sorted(_attributes(cls)):
            writer.text("attribute", name)
            _write_attribute(writer, cls, value)


def _counts_by_content(writer: Writer, cls: type[Any]) -> bool:
    same_module = isinstance(writer, CodeWriter) and cls.__module__ == writer.module
    return not is_known(cls) or (same_module and is_reachable(cls))


def _attributes(cls: type[Any]) -> Iterator[tuple[str, Any]]:
    for name, value in cls.__dict__.items():
        member = issubclass(cls, Enum) and name in cls.__members__
        getter = type(value).__name__ == "_tuplegetter"  # of a namedtuple
        if name not in GENERATED and _is_written(value) and not member and not getter:
            yield name, value


def _is_written(value: Any) -> bool:
    """Whether somebody wrote that method, as opposed to `dataclasses`, `collections` and the like."""
    function = getattr(value, "__func__", value)
    function = inspect.unwrap(function) if isinstance(function, FunctionType) else function
    if not isinstance(function, FunctionType):
        return True
    module = str(function.__globals__.get("__name__"))
    if module in GENERATORS or module.startswith("namedtuple_"):
        return False
    return not function.__code__.co_qualname.startswith("__create_fn__.")  # in which dataclasses compile methods


def _write_attribute(writer: Writer, cls: type[Any], value: Any) -> None:
    """In a class that has its name for itself, what has no form counts by its type."""
    if isinstance(value, FunctionType) and value.__qualname__.startswith(f"{cls.__qualname__}."):
        write_function(writer, value, by_name=False)
        return
    if not is_reachable(cls):
        write = writer.value if isinstance(writer, CodeWriter) else lambda _, value: writer.write(value)
        write(f"an attribute of {cls.__qualname__}", value)
    elif isinstance(writer, CodeWriter) and not is_constant(value) and not isinstance(value, HOLDERS):
        writer.text("object", described(value))  # as other objects of the module, which do not count
    else:
        try:
            writer.write(value)
        except TypeError:
            writer.text("object", described(value))


def _field(field: dataclasses.Field[Any]) -> tuple[Any, ...]:
    default = () if field.default is dataclasses.MISSING else (field.default,)
    factory = () if field.default_factory is dataclasses.MISSING else (field.default_factory,)
    return field.name, default, factory, field.init, field.compare, bool(field.kw_only)


def _write_member(writer: Writer, member: Enum) -> None:
    """A member by its name and value; by its name alone where the value, an `object()` say, only tells it apart."""
    try:
        writer.sequence("enum", (type(member), member.name, member.value))
    except TypeError:
        if not is_reachable(type(member)):
            raise
        writer.sequence("enum", (name_of(type(member)), member.name))


def _unfrozen(value: Any) -> Any:
    date, datetime = REAL
    if isinstance(value, datetime):
        time = value.hour, value.minute, value.second, value.microsecond, value.tzinfo
        return datetime(value.year, value.month, value.day, *time, fold=value.fold)
    return date(value.year, value.month, value.day)


def _is_builtin(value: Any) -> bool:
    """Whether it is a container or a number as well, whose content no field holds."""
    return isinstance(value, dict | list | tuple | set | frozenset | str | bytes | int | float | BaseException)


def _fields(value: Any) -> dict[str, Any]:
    """The fields of a dataclass that make two of them equal, and what else was set on the instance."""
    fields = dataclasses.fields(value)
    compared = {field.name: getattr(value, field.name) for field in fields if field.compare}
    known = {field.name for field in fields}
    held = {**getattr(value, "__dict__", {}), **_slots(value)}
    others = {
        name: other
        for name, other in held.items()
        if name not in known and not isinstance(getattr(type(value), name, None), functools.cached_property)
    }
    return {**compared, **others}


def _slots(value: Any) -> dict[str, Any]:
    """What the slots of a class and its bases hold."""
    names = copyreg._slotnames(type(value))  # type: ignore[attr-defined]
    return {name: getattr(value, name) for name in names if hasattr(value, name)}
