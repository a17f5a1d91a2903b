"""Canonical forms of classes, and of values that are known by their class: enum members, dataclasses, namedtuples.

An imported class counts by its name. A class that a function made shares its name with others, and counts by its
content; so does a class of the program itself, which changes from run to run.
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

from store.memo.canonical.functions import MISSING, Check, CodeWriter, is_constant, write_function
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
    """Write a class, or a value that is known by its class; whether it was one."""
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
    elif kind.__module__ == "freezegun.api" and isinstance(value, REAL[0]):
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
        writer.checks.append(_same_class(cls))
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


def _same_class(cls: type[Any]) -> Check:
    """Whether no attribute of the class was set since."""
    held = dict(cls.__dict__)

    def check() -> bool:
        now = cls.__dict__
        return len(now) == len(held) and all(now.get(name, MISSING) is value for name, value in held.items())

    return check


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
    """Whether the program wrote that method, and not `dataclasses`, `collections` and the like."""
    function = getattr(value, "__func__", value)
    function = inspect.unwrap(function) if isinstance(function, FunctionType) else function
    if not isinstance(function, FunctionType):
        return True
    module = str(function.__globals__.get("__name__"))
    if module in GENERATORS or module.startswith("namedtuple_"):
        return False
    return not function.__code__.co_qualname.startswith("__create_fn__.")  # in which dataclasses compile methods


def _write_attribute(writer: Writer, cls: type[Any], value: Any) -> None:
    """In a class that can be reached by its name, values without a form count by their type."""
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
    """A member by its name and value; by its name alone where the value, such as an `object()`, has no form."""
    try:
        writer.sequence("enum", (type(member), member.name, member.value))
    except TypeError:
        if not is_reachable(type(member)):
            raise
        writer.sequence("enum", (name_of(type(member)), member.name))


def _unfrozen(value: Any) -> Any:
    """The real date or datetime that freezegun's stands in for."""
    date, datetime = REAL
    if isinstance(value, datetime):
        time = value.hour, value.minute, value.second, value.microsecond, value.tzinfo
        return datetime(value.year, value.month, value.day, *time, fold=value.fold)
    return date(value.year, value.month, value.day)


def _is_builtin(value: Any) -> bool:
    """Whether it is a container or a number as well, whose content is in no field."""
    return isinstance(value, dict | list | tuple | set | frozenset | str | bytes | int | float | BaseException)


def _fields(value: Any) -> dict[str, Any]:
    """The fields of a dataclass that make two of them equal, and other attributes of the instance."""
    kind, fields = type(value), {field.name: field for field in dataclasses.fields(value)}
    slots = [name for name in copyreg._slotnames(kind) if hasattr(value, name)]  # type: ignore[attr-defined]
    held = {**getattr(value, "__dict__", {}), **{name: getattr(value, name) for name in slots}}
    compared = {name: getattr(value, name) for name, field in fields.items() if field.compare}
    others = held.keys() - fields.keys()
    cached = {name for name in others if isinstance(getattr(kind, name, None), functools.cached_property)}
    return {**compared, **{name: held[name] for name in others - cached}}
