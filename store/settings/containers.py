"""Types made of others: lists, tuples, dicts, unions, plain data of any shape, and objects of classes with fields."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from store.classes.shown import shown
from store.settings.kinds import LEAVES, LISTS, Build, Kind, Source, near_miss, parsed_json, refused
from store.settings.leaves import Leaf, Member, OneOf, Path, problem_of


class Anything:
    """Plain data of any shape, for fields of type Any."""

    name = "plain data (None, bool, int, float, str, bytes, dates, list, tuple, set, dict)"

    def take(self, value: Any, where: str, source: Source = Source.PROGRAM) -> Any:
        kind: Any = value.__class__  # which a frozen value says to be that of the plain one
        if kind in LEAVES:
            if problem := problem_of(value):
                raise ValueError(f"{where}: {problem}")
            return value
        if kind is dict:
            return {self.take(key, where): self.take(item, f"{where}[{key!r}]") for key, item in value.items()}
        if kind in LISTS:
            return kind(self.take(item, f"{where}[{n}]") for n, item in enumerate(value))
        raise refused(where, f"{self.name} where its type is Any", value)

    def plain(self, value: Any, where: str) -> Any:
        return value

    def parse(self, text: str, where: str) -> Any:
        try:
            return self.take(json.loads(text), where)
        except (ValueError, RecursionError):
            return text


class Items:
    """A list, set, frozenset or tuple of any length; plain as a list. `accepted`: what a program may assign."""

    def __init__(self, cls: type, accepted: tuple[type, ...], item: Kind) -> None:
        self.cls, self.accepted, self.item = cls, accepted, item
        self.name = f"{cls.__name__}[{item.name}]"

    def take(self, value: Any, where: str, source: Source) -> Any:
        if not isinstance(value, self.accepted if source is Source.PROGRAM else LISTS):
            raise refused(where, self.name, value)
        items: Any = value
        found = self.cls(self.item.take(item, f"{where}[{n}]", source) for n, item in enumerate(items))
        if len(found) != len(items):
            raise ValueError(f"{where} takes {self.name}, and {shown(value)} has items twice")
        return found

    def plain(self, value: Any, where: str) -> Any:
        items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        return [self.item.plain(item, f"{where}[{n}]") for n, item in enumerate(items)]

    def parse(self, text: str, where: str) -> Any:
        if text.lstrip().startswith("[") or not isinstance(self.item, Leaf | Member | OneOf | Path):
            return parsed_json(self, text, where)
        parts = [part.strip() for part in text.split(",")] if text.strip() else []
        return self.cls(self.item.parse(part, f"{where}[{n}]") for n, part in enumerate(parts))


class Tuple:
    """A tuple whose places have types of their own; plain as a list."""

    def __init__(self, items: tuple[Kind, ...]) -> None:
        self.items = items
        self.name = f"tuple[{', '.join(item.name for item in items)}]"

    def take(self, value: Any, where: str, source: Source) -> Any:
        accepted = tuple if source is Source.PROGRAM else (list, tuple)
        return tuple(kind.take(item, place, source) for kind, item, place in self._each(value, where, accepted))

    def plain(self, value: Any, where: str) -> Any:
        return [kind.plain(item, place) for kind, item, place in self._each(value, where, tuple)]

    def parse(self, text: str, where: str) -> Any:
        if text.lstrip().startswith("["):
            return parsed_json(self, text, where)
        parts = [part.strip() for part in text.split(",")]
        if len(parts) != len(self.items):
            raise refused(where, self.name, text)
        return tuple(kind.parse(part, place) for kind, part, place in self._each(parts, where, list))

    def _each(self, value: Any, where: str, accepted: Any) -> Iterator[tuple[Kind, Any, str]]:
        """Each place with its kind, item and name. Raises: TypeError: it is no such tuple."""
        if not isinstance(value, accepted) or len(value) != len(self.items):
            raise refused(where, self.name, value)
        for n, (kind, item) in enumerate(zip(self.items, value, strict=True)):
            yield kind, item, f"{where}[{n}]"


class Pairs:
    """A dict."""

    def __init__(self, key: Kind, item: Kind) -> None:
        self.key, self.item = key, item
        self.name = f"dict[{key.name}, {item.name}]"

    def take(self, value: Any, where: str, source: Source) -> Any:
        if not isinstance(value, dict):
            raise refused(where, self.name, value)
        found = {
            self.key.take(key, f"a key of {where}", source): self.item.take(item, f"{where}[{key!r}]", source)
            for key, item in value.items()
        }
        if len(found) != len(value):
            raise ValueError(f"{where} takes {self.name}, and {shown(value)} has keys twice")
        return found

    def plain(self, value: Any, where: str) -> Any:
        return {self.key.plain(key, where): self.item.plain(item, f"{where}[{key!r}]") for key, item in value.items()}

    def parse(self, text: str, where: str) -> Any:
        return parsed_json(self, text, where)


class Choice:
    """One of several types. One that takes a value as it is goes before those that convert it."""

    def __init__(self, kinds: tuple[Kind, ...]) -> None:
        self.kinds = kinds
        self.name = " or ".join(kind.name for kind in kinds)

    def take(self, value: Any, where: str, source: Source) -> Any:
        found = list(_made(self.kinds, lambda kind: kind.take(value, where, source)))
        if not found:
            raise refused(where, self.name, value)
        return next((made for _, made in found if type(made) is type(value)), found[0][1])

    def plain(self, value: Any, where: str) -> Any:
        for kind, made in _made(self.kinds, lambda kind: kind.take(value, where, Source.PROGRAM)):
            if type(made) is type(value):
                return kind.plain(value, where)
        raise refused(where, self.name, value)

    def parse(self, text: str, where: str) -> Any:
        """None only where no str could be meant; a str where nothing else is."""
        ordered = sorted(self.kinds, key=lambda kind: kind.name == "str")
        for _, made in _made(ordered, lambda kind: kind.parse(text, where)):
            return made
        raise refused(where, self.name, text)


def _made(kinds: Iterable[Kind], make: Callable[[Kind], Any]) -> Iterator[tuple[Kind, Any]]:
    """Each kind that takes a value, with what it makes of it."""
    for kind in kinds:
        try:
            made = make(kind)
        except (TypeError, ValueError):
            continue
        yield kind, made


class Part(NamedTuple):
    """One field of a nested object."""

    kind: Kind
    required: bool


class Nested:
    """An object of a dataclass or an attrs class; plain as a dict, made again by its class."""

    def __init__(self, cls: type, parts: Callable[[], Mapping[str, Part]], build: Build) -> None:
        self.cls, self.build = cls, build
        self.parts = parts  # called late: a class may have fields of its own type
        self.name = cls.__name__

    def take(self, value: Any, where: str, source: Source) -> Any:
        parts = self.parts()
        if isinstance(value, self.cls):
            for name, part in parts.items():
                part.kind.take(getattr(value, name), f"{where}.{name}", Source.PROGRAM)
            return value
        if source is Source.PROGRAM or not isinstance(value, dict):
            raise refused(where, self.name, value)
        unknown = [str(name) for name in value if name not in parts]
        if unknown and source is Source.TEXT:
            raise ValueError(f"{where} has no field {unknown[0]!r}{near_miss(unknown[0], parts)}")
        missing = [name for name, part in parts.items() if part.required and name not in value]
        if missing:
            raise ValueError(f"{where} takes {self.name}, which needs {', '.join(missing)}")
        known = [name for name in value if name in parts]
        values = {name: parts[name].kind.take(value[name], f"{where}.{name}", source) for name in known}
        return self.build({}, values) if source is Source.TEXT else self.build(values, {})

    def plain(self, value: Any, where: str) -> Any:
        found = {}
        for name, part in self.parts().items():
            place = f"{where}.{name}"
            found[name] = part.kind.plain(part.kind.take(getattr(value, name), place, Source.PROGRAM), place)
        return found

    def parse(self, text: str, where: str) -> Any:
        return parsed_json(self, text, where)
