"""Which input edits the values of a kind."""

from __future__ import annotations

from enum import Enum, Flag
from typing import Any

from store.settings.classes import kind_of
from store.settings.containers import Choice
from store.settings.kinds import NOTHING, Kind
from store.settings.leaves import Leaf, Member, OneOf, Path
from store.web.forms.settings.inputs import Checkbox, Flags, Input, Json, Number, Options, OrNone, Text


def input_for(kind: Kind, plain: Any, where: str) -> Input:
    """The input for the values of a kind, which holds these plain data."""
    found = _natural(_known(kind, where), kind, where)
    return found if found.holds(plain) else Json()


def input_named(name: str, kind: Kind, where: str) -> Input:
    """The input that a form was shown with. Raises: ValueError: the kind has none of that name."""
    for found in (_natural(_known(kind, where), kind, where), Json()):
        if found.name == name:
            return found
    raise ValueError(f"{where} is no longer edited as {name[:40]!r}: open the form again")


def _known(kind: Kind, where: str) -> Any:
    """The kind that the type hint has in Settings; that of pydantic is one for all types."""
    hint = getattr(kind, "hint", None)
    if hint is None:
        return kind
    try:
        return kind_of(hint, where)
    except TypeError:  # a type that pydantic alone knows
        return None


def _natural(known: Any, kind: Kind, where: str) -> Input:
    """The input of a type. `kind` writes its values as plain data."""
    if isinstance(known, Choice):
        return _of_choice(known, kind, where)
    if isinstance(known, Member):
        return _of_enum(known.cls, kind, where)
    if isinstance(known, OneOf):
        return Options([(_shown(one), kind.plain(one, where)) for one in known.values])
    if not isinstance(known, Leaf):
        return Text() if isinstance(known, Path) else Json()
    if known.cls is bool:
        return Checkbox()
    if known.cls in (int, float):
        return Number(known.cls is int)
    return Json() if known.cls is NOTHING else Text()  # of a timedelta that is a number, JSON writes it


def _of_choice(known: Choice, kind: Kind, where: str) -> Input:
    """The input of a type or None; JSON says which of several types is meant."""
    others = [one for one in known.kinds if not (isinstance(one, Leaf) and one.cls is NOTHING)]
    if len(others) != 1 or len(others) == len(known.kinds):
        return Json()
    (one,) = others
    if isinstance(one, Leaf) and one.cls is bool:
        return Options([("None", None), ("true", True), ("false", False)])
    inner = _natural(one, kind, where)
    if isinstance(inner, Options):
        return inner.with_none()
    return inner if isinstance(inner, Json) else OrNone(inner)


def _of_enum(cls: type[Enum], kind: Kind, where: str) -> Input:
    if issubclass(cls, Flag):
        return Flags(cls)
    return Options([(name, kind.plain(member, where)) for name, member in cls.__members__.items()])


def _shown(value: Any) -> str:
    return value.name if isinstance(value, Enum) else value if isinstance(value, str) else repr(value)
