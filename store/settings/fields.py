"""The fields of a class: names, types, defaults, and what the class itself has to say about values.

A dataclass, an attrs class or a pydantic model. A library is imported only for a class that was made with it.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, get_type_hints

from store.classes.shown import shown
from store.codecs.plain import same
from store.settings.containers import Nested, Part, near_miss
from store.settings.frozen import thawed
from store.settings.hints import kind_of
from store.settings.types import STORED, Kind, Target

REFUSALS = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError)
"""What the code of a class raises for a value that it does not take: a converter may look it up in a table, say."""
Build = Callable[[Mapping[str, Any], Mapping[str, Any]], Any]
"""Makes an object of values that are held, which were converted when they were assigned, and of new ones."""
Rule = Callable[[Any], None]
"""Raises TypeError or ValueError for a value that a field's own validator refuses."""


class Field(NamedTuple):
    """One field. `where` is its name in messages; `default` gives a fresh one each time."""

    name: str
    where: str
    kind: Kind
    default: Callable[[], Any]
    rule: Rule | None = None
    converts: bool = False

    def restored(self, plain: Any) -> Any:
        """The value of a plain form that is stored. Raises: TypeError, ValueError: it does not fit."""
        value = self.kind.restore(plain, self.where)
        if self.rule is not None:
            self.rule(value)
        return value

    def imported(self, plain: Any) -> Any:
        """The value of a plain form, to be assigned. Raises: TypeError, ValueError: it does not fit."""
        return self.kind.restore(plain, self.where, strict=True)

    def parsed(self, text: str) -> Any:
        """The value that a text spells, to be assigned. Raises: TypeError, ValueError."""
        return self.kind.parse(text, self.where)

    def plain(self, value: Any, target: Target = STORED) -> Any:
        """The plain form of a value. Raises: ValueError: it would not come back as it is."""
        found = self.kind.plain(value, target, self.where)
        back = self.kind.restore(found, self.where)
        if not _alike(back, value):
            raise ValueError(
                f"{self.where}: {shown(value)} would come back from {target.format} as {shown(back)}; give the "
                f"field a type that tells them apart, {self.kind.name} does not"
            )
        return found

    def is_default(self, plain: Any) -> bool:
        """Whether a plain form is that of the default."""
        try:
            return same(plain, self.kind.plain(self.default(), STORED, self.where))
        except (TypeError, ValueError):  # a default that its own type refuses, which pydantic permits
            return False


class Judged(NamedTuple):
    """New values as the class has them; and held ones that it refuses, whatever the new ones are, each with why."""

    values: dict[str, Any]
    refused: dict[str, Exception]


class Schema(NamedTuple):
    """The fields of a class. `build` makes its objects; `judges`: it may refuse, or alter, values."""

    cls: type
    fields: Mapping[str, Field]
    build: Build
    judges: bool

    def field(self, name: str) -> Field:
        """Raises: AttributeError: there is none of that name; says which was meant."""
        try:
            return self.fields[name]
        except (KeyError, TypeError):
            if not isinstance(name, str):
                raise TypeError(f"the name of a field is a str, not {shown(name)}") from None
            raise AttributeError(
                f"{self.cls.__name__} has no field {name!r}{near_miss(name, self.fields)}", name=name
            ) from None

    def checked(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values as they are to be held. Raises: AttributeError, TypeError, ValueError, naming each field."""
        fields = {name: self.field(name) for name in values}
        return each(values, lambda name, value: _checked(fields[name], thawed(value)))

    def judged(
        self,
        held: Mapping[str, Any],
        new: Mapping[str, Any],
        otherwise: str = "would be refused with the new values",
        *,
        in_place: bool = False,
    ) -> Judged:
        """The new values as an object of the class has them, beside those that are held.

        Held ones that the class has come to refuse are left out: they must not keep others from being set.
        `in_place`: the new ones were held and have been changed; they are not converted once more.

        Raises: as `checked`.
        """
        rest = {name: value for name, value in held.items() if name not in new}

        def build(beside: Mapping[str, Any]) -> Any:
            return self.built({**beside, **new}, {}, otherwise) if in_place else self.built(beside, new, otherwise)

        try:
            return Judged(self._held_by(build(rest), new), {})
        except (TypeError, ValueError):
            _, refused = self.fitting(held)  # those that are replaced with them: they may fit together alone
            refused = {name: exc for name, exc in refused.items() if name in rest}
            if not refused:
                raise
        beside = {name: value for name, value in rest.items() if name not in refused}
        return Judged(self._held_by(build(beside), new), refused)

    def fitting(self, held: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Exception]]:
        """The held values that the class takes together, and why it refuses each of the others."""
        fits: dict[str, Any] = {}
        refused: dict[str, Exception] = {}
        left = list(held)
        while left:
            again = []
            for name in left:
                try:
                    self.build({**fits, name: held[name]}, {})
                    fits[name] = held[name]
                    refused.pop(name, None)
                except REFUSALS as exc:  # perhaps of one that another of them goes with
                    refused[name] = exc
                    again.append(name)
            if again == left:
                break
            left = again
        return fits, refused

    def _held_by(self, found: Any, names: Mapping[str, Any]) -> dict[str, Any]:
        return each(
            names, lambda name, _: self.fields[name].kind.check(getattr(found, name), self.fields[name].where)
        )

    def built(self, held: Mapping[str, Any], new: Mapping[str, Any], otherwise: str) -> Any:
        """An object of the class. Raises: TypeError, ValueError: the class refuses the values."""
        try:
            return self.build(held, new)
        except REFUSALS as exc:
            kind = TypeError if isinstance(exc, TypeError) else ValueError
            raise kind(f"{self.cls.__name__} {otherwise}: {exc}" if otherwise else str(exc)) from exc


def each(values: Mapping[str, Any], make: Callable[[str, Any], Any]) -> dict[str, Any]:
    """What is made of each value. Raises: TypeError, ValueError: one error that tells of all that were refused."""
    found, errors = {}, []
    for name, value in values.items():
        try:
            found[name] = make(name, value)
        except (TypeError, ValueError) as exc:
            errors.append(exc)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        kind = TypeError if all(isinstance(exc, TypeError) for exc in errors) else ValueError
        raise kind(f"{len(errors)} fields are refused: " + "; ".join(map(str, errors)))
    return found


def _alike(one: Any, other: Any) -> bool:
    """Whether a value came back: NaN is NaN, and objects without an `==` are alike in their fields.

    Never by their repr: that of a secret says nothing.
    """
    kind = one.__class__  # of a frozen value that of the plain one
    if kind is not other.__class__:
        return False
    if kind is float:
        return bool(one == other or (one != one and other != other))
    if kind in (list, tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    if kind is dict:
        return one.keys() == other.keys() and all(_alike(item, other[key]) for key, item in one.items())
    names = [field.name for field in getattr(kind, "__attrs_attrs__", ())]
    if dataclasses.is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(kind)]
    return bool(one == other) or (bool(names) and all(_alike(getattr(one, n), getattr(other, n)) for n in names))


def _checked(field: Field, value: Any) -> Any:
    return value if field.converts else field.kind.check(value, field.where)


# -- the classes


class Raw(NamedTuple):
    """A field as its class has it; `default` None: it has none."""

    name: str
    default: Callable[[], Any] | None
    rule: Rule | None = None
    converts: bool = False


def schema_of(cls: Any) -> Schema:
    """The schema of a class. Raises: TypeError: it is none that Settings takes; says what is wrong with it."""
    if isinstance(cls, type) and hasattr(cls, "__pydantic_validator__") and hasattr(cls, "model_fields"):
        from store.settings.pydantic import schema_of_model

        return schema_of_model(cls)
    raw = _raw_fields(cls)
    if raw is None:
        advice = "did you forget @dataclass?" if isinstance(cls, type) else "the class itself comes first"
        raise TypeError(f"Settings takes a dataclass, an attrs class or a pydantic model, not {shown(cls)}; {advice}")
    hints = _hints_of(cls)
    fields = {one.name: _field(cls, one, hints) for one in raw}
    judges = hasattr(cls, "__post_init__") or hasattr(cls, "__attrs_attrs__")
    return Schema(cls, fields, _builder_of(cls), judges)


def nested(cls: type) -> Kind | None:
    """The kind of the objects of a class that has fields; None where it has none."""
    if hasattr(cls, "__pydantic_core_schema__") and hasattr(cls, "__pydantic_validator__"):
        from store.settings.pydantic import Validated

        return Validated(cls)
    raw = _raw_fields(cls)
    if raw is None:
        return None
    parts: dict[str, Part] = {}

    def found() -> Mapping[str, Part]:
        if not parts:
            hints = _hints_of(cls)
            for one in raw:
                kind = kind_of(hints.get(one.name, Any), f"{cls.__name__}.{one.name}")
                parts[one.name] = Part(kind, one.default is None)
        return parts

    return Nested(cls, found, _builder_of(cls))


def _field(cls: type, raw: Raw, hints: Mapping[str, Any]) -> Field:
    where = f"{cls.__name__}.{raw.name}"
    if raw.default is None:
        raise TypeError(
            f"{where} has no default, and Settings needs one for each field; for none at all write "
            f"`{raw.name}: … | None = None`"
        )
    kind = kind_of(hints.get(raw.name, Any), where)
    try:
        value = raw.default()
        kind.plain(value if raw.converts else kind.check(value, where), STORED, where)
    except (TypeError, ValueError) as exc:
        raise TypeError(f"the default of {where} is none of its own type: {exc}") from exc
    return Field(raw.name, where, kind, raw.default, raw.rule, raw.converts)


def _raw_fields(cls: Any) -> list[Raw] | None:
    if not isinstance(cls, type):
        return None
    if "__attrs_attrs__" in cls.__dict__:
        from store.settings.attrs import fields_of

        return fields_of(cls)
    if not dataclasses.is_dataclass(cls):
        return None
    return [Raw(one.name, _dataclass_default(one)) for one in dataclasses.fields(cls) if one.init]


def _dataclass_default(field: dataclasses.Field[Any]) -> Callable[[], Any] | None:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory
    if field.default is dataclasses.MISSING:
        return None
    value = field.default
    return lambda: copy.deepcopy(value)  # it may be mutable, and is the class's own


def _builder_of(cls: Any) -> Build:
    if "__attrs_attrs__" in cls.__dict__:
        from store.settings.attrs import builder_of

        return builder_of(cls)
    return lambda held, new: cls(**held, **new)


def _hints_of(cls: type) -> dict[str, Any]:
    try:
        return get_type_hints(cls)
    except NameError as exc:
        raise TypeError(
            f"the types of {cls.__name__} cannot be found: {exc}; define what they name where the class's module "
            "can see it"
        ) from exc
