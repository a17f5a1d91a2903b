"""Fields of attrs classes: their converters, validators and defaults.

A converter is for what is assigned. What is held has been through it, and an object of held values is made without:
`minutes * 60` must not be taken times 60 at each read.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from store.settings.fields import REFUSALS, Build, Raw, Rule

_CONVERTER: Any = getattr(attrs, "Converter", ())  # from attrs 24.1 on
_HASH = "_attrs_cached_hash"  # of classes that keep their hash; only their `__init__` begins it


def fields_of(cls: Any) -> list[Raw]:
    """The fields that a call of the class takes."""
    found = []
    for one in attrs.fields(cls):
        if one.init:
            default = None if one.default is attrs.NOTHING else _default(cls, one)
            rule = None if one.validator is None else _rule(cls, one)
            found.append(Raw(one.name, default, rule, one.converter is not None))
    return found


def builder_of(cls: Any) -> Build:
    """What makes objects of the class; one whose `__init__` is its own converts held values too."""
    aliases = {one.name: one.alias for one in attrs.fields(cls)}
    if any(one.converter is not None for one in attrs.fields(cls)) and _has_plain_init(cls):
        return lambda held, new: _built(cls, held, new)
    return lambda held, new: cls(**{aliases[name]: value for name, value in {**held, **new}.items()})


def _has_plain_init(cls: Any) -> bool:
    before = getattr(cls, "__attrs_pre_init__", None)
    return "__attrs_init__" not in cls.__dict__ and (before is None or len(inspect.signature(before).parameters) == 1)


def _built(cls: Any, held: Mapping[str, Any], new: Mapping[str, Any]) -> Any:
    """Does what the class's `__init__` does, in its order, but that held values are not converted."""
    made = cls.__new__(cls)
    if hasattr(cls, "__attrs_pre_init__"):
        made.__attrs_pre_init__()
    present = [
        one for one in attrs.fields(cls) if one.name in held or one.name in new or one.default is not attrs.NOTHING
    ]
    for one in present:
        value = held[one.name] if one.name in held else _converted(cls, one, new, made)
        object.__setattr__(made, one.name, value)  # it may be frozen
    if not attrs.validators.get_disabled():
        for one in present:
            if one.validator is not None:
                one.validator(made, one, getattr(made, one.name))
    if hasattr(cls, "__attrs_post_init__"):
        made.__attrs_post_init__()
    code = cls.__init__.__code__
    if _HASH in (*code.co_names, *code.co_consts):
        object.__setattr__(made, _HASH, None)
    return made


def _converted(cls: Any, attribute: Any, new: Mapping[str, Any], made: Any) -> Any:
    """What a new value, or the default, becomes; `made` has the fields before it. Raises: TypeError, ValueError."""
    value = new[attribute.name] if attribute.name in new else _plain_default(attribute, made)
    converter: Any = attribute.converter
    if converter is None:
        return value
    more = []
    if isinstance(converter, _CONVERTER):
        more = [made] * converter.takes_self + [attribute] * converter.takes_field
        converter = converter.converter
    try:
        return converter(value, *more)
    except REFUSALS as exc:
        kind = TypeError if isinstance(exc, TypeError) else ValueError
        raise kind(f"{attribute.name}: {exc}") from exc


def _plain_default(attribute: Any, made: Any) -> Any:
    factory: Any = attrs.Factory  # a class, which its types take for a function
    if not isinstance(attribute.default, factory):
        return attribute.default
    return attribute.default.factory(made) if attribute.default.takes_self else attribute.default.factory()


def _default(cls: Any, attribute: Any) -> Callable[[], Any]:
    if attribute.converter is not None or getattr(attribute.default, "takes_self", False):
        return lambda: getattr(cls(), attribute.name)  # only the class can tell what it becomes
    return lambda: copy.deepcopy(_plain_default(attribute, None))  # it may be mutable, and is the class's own


def _rule(cls: Any, attribute: Any) -> Rule:
    def rule(value: Any) -> None:
        try:
            attribute.validator(cls.__new__(cls), attribute, value)
        except AttributeError:  # it looks at other fields, which only a whole object has
            pass

    return rule
