"""What a field's type takes, where it is made of others: lists, tuples, dicts, unions and objects of objects."""

from __future__ import annotations

import json
from collections import abc
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from store.classes.shown import shown
from store.settings.types import LEAVES, Kind, Leaf, Member, OneOf, Path, Target, leaf_for, problem_of, refused

LISTS = (list, tuple, set, frozenset)


def near_miss(name: str, names: abc.Iterable[str]) -> str:
    """`; did you mean 'theme'?`, where a name is much like another."""
    found = get_close_matches(name, list(names), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def from_json(text: str, where: str, takes: str) -> Any:
    """What a text in JSON holds. Raises: ValueError."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"{where} takes {takes} as JSON, not {shown(text)}: {exc}") from exc


class Anything(Kind):
    """Plain data of any shape, for fields of type Any."""

    name = "plain data (None, bool, int, float, str, bytes, dates, list, tuple, set, dict)"

    def check(self, value: Any, where: str) -> Any:
        kind: Any = value.__class__  # of a frozen value that of the plain one
        if kind in LEAVES:
            problem = problem_of(value)
            if problem:
                raise ValueError(f"{where}: {problem}")
            return value
        if kind is dict:
            return {self.check(key, where): self.check(item, f"{where}[{key!r}]") for key, item in value.items()}
        if kind in LISTS:
            return kind(self.check(item, f"{where}[{n}]") for n, item in enumerate(value))
        raise refused(where, f"{self.name} where its type is Any", value)

    def plain(self, value: Any, target: Target, where: str) -> Any:
        kind: Any = type(value)
        if kind is dict:
            return {
                key_for(key, target, where): self.plain(item, target, f"{where}[{key!r}]")
                for key, item in value.items()
            }
        if kind in LISTS:
            items = [self.plain(item, target, f"{where}[{n}]") for n, item in enumerate(value)]
            return kind(items) if target.format == "the store" else items
        return leaf_for(value, target)

    def restore(self, plain: Any, where: str, strict: bool = False) -> Any:
        return self.check(plain, where)

    def parse(self, text: str, where: str) -> Any:
        try:
            return self.check(json.loads(text), where)
        except (ValueError, RecursionError):
            return text


def key_for(key: Any, target: Target, where: str) -> Any:
    """The key of a dict as the target can have it. Raises: ValueError."""
    if type(key) in target.keys:
        return key
    if type(key) in (int, float):
        return str(key)
    found = leaf_for(key, target)
    if type(found) not in target.keys:
        raise ValueError(f"{where}: {target.format} has no key {shown(key)}")
    return found


class Items(Kind):
    """A list, set, frozenset or tuple of any length; plain as a list."""

    def __init__(self, cls: type, accepted: tuple[type, ...], item: Kind) -> None:
        self.cls, self.accepted, self.item = cls, accepted, item
        self.name = f"{cls.__name__}[{item.name}]"

    def check(self, value: Any, where: str) -> Any:
        if not isinstance(value, self.accepted):
            raise refused(where, self.name, value)
        items: Any = value
        return self.cls(self.item.check(item, f"{where}[{n}]") for n, item in enumerate(items))

    def plain(self, value: Any, target: Target, where: str) -> Any:
        items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        return [self.item.plain(item, target, f"{where}[{n}]") for n, item in enumerate(items)]

    def restore(self, plain: Any, where: str, strict: bool = False) -> Any:
        if not isinstance(plain, LISTS):
            raise refused(where, self.name, plain)
        found = self.cls(self.item.restore(item, f"{where}[{n}]", strict) for n, item in enumerate(plain))
        if len(found) != len(plain):
            raise ValueError(f"{where} takes {self.name}, and {shown(plain)} has items twice")
        return found

    def parse(self, text: str, where: str) -> Any:
        if text.lstrip().startswith("[") or not isinstance(self.item, Leaf | Member | OneOf | Path):
            return self.restore(from_json(text, where, self.name), where, strict=True)
        parts = [part.strip() for part in text.split(",")] if text.strip() else []
        return self.cls(self.item.parse(part, f"{where}[{n}]") for n, part in enumerate(parts))


class Tuple(Kind):
    """A tuple whose places have types of their own; plain as a list."""

    def __init__(self, items: tuple[Kind, ...]) -> None:
        self.items = items
        self.name = f"tuple[{', '.join(item.name for item in items)}]"

    def check(self, value: Any, where: str) -> Any:
        if not isinstance(value, tuple) or len(value) != len(self.items):
            raise refused(where, self.name, value)
        return tuple(kind.check(item, f"{where}[{n}]") for n, (kind, item) in enumerate(self._with(value)))

    def plain(self, value: Any, target: Target, where: str) -> Any:
        return [kind.plain(item, target, f"{where}[{n}]") for n, (kind, item) in enumerate(self._with(value))]

    def restore(self, plain: Any, where: str, strict: bool = False) -> Any:
        if not isinstance(plain, list | tuple) or len(plain) != len(self.items):
            raise refused(where, self.name, plain)
        return tuple(kind.restore(item, f"{where}[{n}]", strict) for n, (kind, item) in enumerate(self._with(plain)))

    def parse(self, text: str, where: str) -> Any:
        if text.lstrip().startswith("["):
            return self.restore(from_json(text, where, self.name), where, strict=True)
        parts = [part.strip() for part in text.split(",")]
        if len(parts) != len(self.items):
            raise refused(where, self.name, text)
        return tuple(kind.parse(part, f"{where}[{n}]") for n, (kind, part) in enumerate(self._with(parts)))

    def _with(self, values: Any) -> Any:
        return zip(self.items, values, strict=True)


class Pairs(Kind):
    """A dict."""

    def __init__(self, key: Kind, item: Kind) -> None:
        self.key, self.item = key, item
        self.name = f"dict[{key.name}, {item.name}]"

    def check(self, value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            raise refused(where, self.name, value)
        return {
            self.key.check(key, f"a key of {where}"): self.item.check(item, f"{where}[{key!r}]")
            for key, item in value.items()
        }

    def plain(self, value: Any, target: Target, where: str) -> Any:
        return {
            key_for(self.key.plain(key, target, where), target, where): self.item.plain(
                item, target, f"{where}[{key!r}]"
            )
            for key, item in value.items()
        }

    def restore(self, plain: Any, where: str, strict: bool = False) -> Any:
        if not isinstance(plain, dict):
            raise refused(where, self.name, plain)
        found = {
            self.key.restore(key, f"a key of {where}"): self.item.restore(item, f"{where}[{key!r}]", strict)
            for key, item in plain.items()
        }
        if len(found) != len(plain):
            raise ValueError(f"{where} takes {self.name}, and {shown(plain)} has keys twice")
        return found

    def parse(self, text: str, where: str) -> Any:
        return self.restore(from_json(text, where, self.name), where, strict=True)


class Choice(Kind):
    """One of several types; the one that takes a value as it is goes before those that convert it."""

    def __init__(self, kinds: tuple[Kind, ...]) -> None:
        self.kinds = kinds
        self.name = " or ".join(kind.name for kind in kinds)

    def check(self, value: Any, where: str) -> Any:
        return self._first(value, where, lambda kind: kind.check(value, where))

    def plain(self, value: Any, target: Target, where: str) -> Any:
        for kind in self.kinds:
            try:
                fits = type(kind.check(value, where)) is type(value)
            except (TypeError, ValueError):
                continue
            if fits:
                return kind.plain(value, target, where)
        raise refused(where, self.name, value)

    def restore(self, plain: Any, where: str, strict: bool = False) -> Any:
        return self._first(plain, where, lambda kind: kind.restore(plain, where, strict))

    def parse(self, text: str, where: str) -> Any:
        """None only where no str could be meant; a str where nothing else is."""
        ordered = sorted(self.kinds, key=lambda kind: kind.name == "str")
        return self._first(text, where, lambda kind: kind.parse(text, where), ordered, exact=False)

    def _first(
        self,
        value: Any,
        where: str,
        make: Callable[[Kind], Any],
        kinds: abc.Iterable[Kind] = (),
        exact: bool = True,
    ) -> Any:
        found = []
        for kind in kinds or self.kinds:
            try:
                made = make(kind)
            except (TypeError, ValueError):
                continue
            if not exact or type(made) is type(value):
                return made
            found.append(made)
        if not found:
            raise refused(where, self.name, value)
        return found[0]


class Part(NamedTuple):
    """One field of a nested object."""

    kind: Kind
    required: bool


class Nested(Kind):
    """An object of a dataclass or an attrs class; plain as a dict, made again by its class."""

    def __init__(
        self,
        cls: type,
        parts: Callable[[], Mapping[str, Part]],
        build: Callable[[Mapping[str, Any], Mapping[str, Any]], Any],
    ) -> None:
        self.cls, self._parts = cls, parts  # found late: a class may have fields of its own type
        self._build = build  # of held values and of new ones
        self.name = cls.__name__

    def check(self, value: Any, where: str) -> Any:
        if not isinstance(value, self.cls):
            raise refused(where, self.name, value)
        for name, part in self._parts().items():
            part.kind.check(getattr(value, name), f"{where}.{name}")
        return value

    def plain(self, value: Any, target: Target, where: str) -> Any:
        return {
            name: part.kind.plain(part.kind.check(getattr(value, name), f"{where}.{name}"), target, f"{where}.{name}")
            for name, part in self._parts().items()
        }

    def restore(self, plain: Any, where: str, strict: bool = False) -> Any:
        if isinstance(plain, self.cls):
            return self.check(plain, where)
        if not isinstance(plain, dict):
            raise refused(where, self.name, plain)
        parts = self._parts()
        unknown = [str(name) for name in plain if name not in parts]
        if unknown and strict:
            raise ValueError(f"{where} has no field {unknown[0]!r}{near_miss(unknown[0], parts)}")
        missing = [name for name, part in parts.items() if part.required and name not in plain]
        if missing:
            raise ValueError(f"{where} takes {self.name}, which needs {', '.join(missing)}")
        values = {
            name: parts[name].kind.restore(item, f"{where}.{name}", strict)
            for name, item in plain.items() if name in parts
        }  # fmt: skip
        return self._build({}, values) if strict else self._build(values, {})

    def parse(self, text: str, where: str) -> Any:
        return self.restore(from_json(text, where, self.name), where, strict=True)
