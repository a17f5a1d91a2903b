"""The fields of a settings class: names, types and defaults, and what the class itself says of values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from store.classes.shown import shown
from store.classes.size import too_large
from store.codecs.plain import same
from store.settings.frozen import field_names, thawed
from store.settings.kinds import REFUSALS, STORED, Build, Kind, Rule, Source, Target, near_miss
from store.settings.leaves import fitted


class Field(NamedTuple):
    """One field. `where` is its name in messages, as `Prefs.theme`; `default` makes a fresh one at each call."""

    name: str
    where: str
    kind: Kind
    default: Callable[[], Any]
    rule: Rule | None = None
    converts: bool = False

    def restored(self, plain: Any) -> Any:
        """The value of a plain form that is stored. Raises: TypeError, ValueError: it does not fit."""
        items = too_large(plain)
        if items:  # anybody who can write the file can store this: going over each place of a part never ends
            raise ValueError(f"{self.where}: its parts are shared, and written out they are {items}")
        try:
            value = self.kind.take(plain, self.where, Source.STORE)
        except RecursionError:
            raise ValueError(f"{self.where}: it holds itself, or nests too deep") from None
        if self.rule is not None:
            self.rule(value)
        return value

    def plain(self, value: Any, target: Target = STORED) -> Any:
        """The plain form of a value. Raises: TypeError, ValueError: it would not come back as it is."""
        found = self.kind.plain(value, self.where)
        if target is not STORED:
            found = fitted(found, self.where, target)
        back = self.kind.take(found, self.where, Source.STORE)
        if not _alike(back, value):
            raise ValueError(
                f"{self.where}: {shown(value)} would come back from {target.format} as {shown(back)}; give the "
                f"field a type that tells them apart, {self.kind.name} does not"
            )
        return found

    def is_default(self, plain: Any) -> bool:
        """Whether a plain form is that of the default."""
        try:
            return same(plain, self.kind.plain(self.default(), self.where))
        except (TypeError, ValueError):  # a default that its own type refuses, which pydantic permits
            return False


class Validated(NamedTuple):
    """New values as the class has them, and the held values that it no longer takes, each with the reason."""

    values: dict[str, Any]
    refused: dict[str, Exception]


class Schema(NamedTuple):
    """The fields of a class. `build` makes its objects; `has_validators`: it may refuse, or alter, values."""

    cls: type
    fields: Mapping[str, Field]
    build: Build
    has_validators: bool

    def field(self, name: str) -> Field:
        """The field of that name. Raises: AttributeError: there is none; says which was meant."""
        try:
            return self.fields[name]
        except (KeyError, TypeError):
            if not isinstance(name, str):
                raise TypeError(f"the name of a field is a str, not {shown(name)}") from None
            raise AttributeError(
                f"{self.cls.__name__} has no field {name!r}{near_miss(name, self.fields)}", name=name
            ) from None

    def taken(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values as their types have them. Raises: AttributeError, TypeError, ValueError, naming each field."""

        def take(name: str, value: Any) -> Any:
            field = fields[name]
            return value if field.converts else field.kind.take(value, field.where, Source.PROGRAM)

        fields = {name: self.field(name) for name in values}
        return each({name: thawed(value) for name, value in values.items()}, take)

    def validated(
        self,
        held: Mapping[str, Any],
        new: Mapping[str, Any],
        otherwise: str = "would be refused with the new values",
        *,
        in_place: bool = False,
    ) -> Validated:
        """The new values as an object of the class has them, together with the held ones.

        Held values that the class no longer takes are left out: they must not keep others from being set.
        `in_place`: the new values were held and have been changed, so they are not converted again.

        Raises: as `taken`.
        """
        rest = {name: value for name, value in held.items() if name not in new}

        def build(others: Mapping[str, Any]) -> dict[str, Any]:
            made = self.built({**others, **new}, {}, otherwise) if in_place else self.built(others, new, otherwise)
            return each(new, lambda name, _: self._value_in(made, self.fields[name]))

        try:
            return Validated(build(rest), {})
        except (TypeError, ValueError):
            # All of the held values are tried: those that are replaced may be what the others fit.
            refused = {name: exc for name, exc in self.refused(held).items() if name in rest}
            if not refused:
                raise
        return Validated(build({name: value for name, value in rest.items() if name not in refused}), refused)

    def refused(self, held: Mapping[str, Any]) -> dict[str, Exception]:
        """The held values that the class does not take together with the others, each with the reason."""
        fits: dict[str, Any] = {}
        refused: dict[str, Exception] = {}
        left = list(held)
        while left:
            tried, left = left, []
            for name in tried:
                try:
                    self.build({**fits, name: held[name]}, {})
                    fits[name] = held[name]
                    refused.pop(name, None)
                except REFUSALS as exc:  # perhaps because of another one, which it fits
                    refused[name] = exc
                    left.append(name)
            if left == tried:
                break
        return refused

    def built(self, held: Mapping[str, Any], new: Mapping[str, Any], otherwise: str) -> Any:
        """An object of the class. Raises: TypeError, ValueError: the class refuses the values."""
        try:
            return self.build(held, new)
        except REFUSALS as exc:
            kind = TypeError if isinstance(exc, TypeError) else ValueError
            raise kind(f"{self.cls.__name__} {otherwise}: {exc}" if otherwise else str(exc)) from exc

    def _value_in(self, made: Any, field: Field) -> Any:
        return field.kind.take(getattr(made, field.name), field.where, Source.PROGRAM)


def no_default(where: str, name: str) -> TypeError:
    """The error for a field without a default."""
    return TypeError(
        f"{where} has no default, and Settings needs one for each field; for none at all write "
        f"`{name}: … | None = None`"
    )


def each(values: Mapping[str, Any], make: Callable[[str, Any], Any]) -> dict[str, Any]:
    """What is made of each value. Raises: TypeError, ValueError: one error for all values that were refused."""
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
    kind = one.__class__  # which a frozen value says to be that of the plain one
    if kind is not other.__class__:
        return False
    if kind in (list, tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    if kind is dict:
        return one.keys() == other.keys() and all(_alike(item, other[key]) for key, item in one.items())
    if one == other or (kind is float and one != one and other != other):
        return True
    names = field_names(kind)
    return bool(names) and all(_alike(getattr(one, name), getattr(other, name)) for name in names)
