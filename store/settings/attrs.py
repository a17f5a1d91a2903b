"""Fields of attrs classes: their converters, validators and defaults, and objects of held values.

A converter is for values that are assigned. A held value has been through it, and must not go through it again:
`minutes * 60` would be multiplied at each read. So attrs itself makes a second `__init__` for such a class, whose
converters leave held values as they are.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import attrs

from store.settings.kinds import REFUSALS, Build, Raw, Rule

_HASH = "_attrs_cached_hash"  # of classes that keep their hash: `__init__` has to set it


class Held(NamedTuple):
    """A value that was converted when it was assigned."""

    value: Any


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
    """The function that makes objects of the class. An `__init__` of its own converts held values too."""
    fields = attrs.fields(cls)
    aliases = {one.name: one.alias for one in fields}
    if not any(one.converter is not None for one in fields) or _has_own_init(cls):
        return lambda held, new: cls(**{aliases[name]: value for name, value in {**held, **new}.items()})
    initialize = _init_for_held(cls)

    def build(held: Mapping[str, Any], new: Mapping[str, Any]) -> Any:
        made = cls.__new__(cls)
        values = {**{name: Held(value) for name, value in held.items()}, **new}
        initialize(made, **{aliases[name]: value for name, value in values.items()})
        return made

    return build


def _has_own_init(cls: Any) -> bool:
    before = getattr(cls, "__attrs_pre_init__", None)
    return "__attrs_init__" in cls.__dict__ or (before is not None and len(inspect.signature(before).parameters) > 1)


def _init_for_held(cls: Any) -> Callable[..., None]:
    """The `__init__` that attrs makes of the same fields with converters that know `Held`."""
    fields = {
        one.name: attrs.field(
            default=one.default, validator=one.validator, converter=_unless_held(one), init=one.init, alias=one.alias,
            kw_only=True,
        )
        for one in attrs.fields(cls)
    }  # fmt: skip
    hooks = {name: getattr(cls, name) for name in ("__attrs_pre_init__", "__attrs_post_init__") if hasattr(cls, name)}
    code = cls.__init__.__code__
    keeps_hash = _HASH in (*code.co_names, *code.co_consts)
    make_class: Any = attrs.make_class  # whose types lag behind
    twin = make_class(
        cls.__name__, fields, class_body=hooks, frozen=True, slots=True, unsafe_hash=True, cache_hash=keeps_hash
    )
    return twin.__init__  # type: ignore[no-any-return]


def _unless_held(attribute: Any) -> Any:
    """The field's converter for new values. Raises: TypeError, ValueError: it refuses the value."""
    converter: Any = attribute.converter
    if converter is not None and not isinstance(converter, attrs.Converter):
        converter = attrs.Converter(converter)

    def convert(value: Any, made: Any, _: Any) -> Any:
        if isinstance(value, Held):
            return value.value
        try:
            return value if converter is None else converter.__call__(value, made, attribute)
        except REFUSALS as exc:
            kind = TypeError if isinstance(exc, TypeError) else ValueError
            raise kind(f"{attribute.name}: {exc}") from exc

    return attrs.Converter(convert, takes_self=True, takes_field=True)


def _default(cls: Any, attribute: Any) -> Callable[[], Any]:
    default: Any = attribute.default
    if attribute.converter is not None or getattr(default, "takes_self", False):
        return lambda: getattr(cls(), attribute.name)  # only the class can tell
    return getattr(default, "factory", None) or (lambda: copy.deepcopy(default))  # it may be mutable, and is shared


def _rule(cls: Any, attribute: Any) -> Rule:
    def rule(value: Any) -> None:
        try:
            attribute.validator(cls.__new__(cls), attribute, value)
        except AttributeError:  # it looks at other fields, which only a whole object has
            pass

    return rule
