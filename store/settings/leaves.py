"""Types whose plain form is a scalar: scalars themselves, dates and the like, paths, enums and literals."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal, InvalidOperation
from enum import Enum, Flag
from pathlib import PurePath
from typing import Any
from uuid import UUID

from store.classes.shown import shown
from store.settings.kinds import LISTS, NOTHING, SCALARS, Source, Target, refused


class Leaf:
    """A scalar, or another type that is plain data by itself."""

    def __init__(self, cls: type) -> None:
        self.cls = cls
        self.name = "None" if cls is NOTHING else cls.__name__

    def take(self, value: Any, where: str, source: Source) -> Any:
        if source is not Source.PROGRAM:
            value = self._converted(value, where)
        if type(value) is self.cls:
            if problem := problem_of(value):
                raise ValueError(f"{where}: {problem}")
            return value
        if self.cls is float and isinstance(value, int) and not isinstance(value, bool):
            return _exact_float(value, where)
        if self.cls in (str, int, float) and isinstance(value, self.cls) and not isinstance(value, bool):
            return _BASES[self.cls](value)  # an instance of a subclass would come back as one of its base
        raise refused(where, self.name, value)

    def plain(self, value: Any, where: str) -> Any:
        return value

    def parse(self, text: str, where: str) -> Any:
        reader = _PARSERS.get(self.cls)
        if reader is None:
            return self.take(text, where, Source.TEXT)
        try:
            return reader(text)
        except (ValueError, KeyError, OverflowError) as exc:
            raise refused(where, _SPELLED.get(self.cls, self.name), text) from exc

    def _converted(self, plain: Any, where: str) -> Any:
        if self.cls in _READERS and isinstance(plain, str):
            try:
                return _READERS[self.cls](plain)
            except (ValueError, InvalidOperation, binascii.Error) as exc:
                raise refused(where, self.name, plain) from exc
        if self.cls is int and type(plain) is float and plain.is_integer():
            return int(plain)
        if self.cls is Decimal and type(plain) is int:
            return Decimal(plain)
        if self.cls is timedelta and type(plain) in (int, float):
            try:
                return timedelta(seconds=plain)
            except (ValueError, OverflowError) as exc:
                raise ValueError(f"{where}: {shown(plain)} seconds are no timedelta: {exc}") from exc
        return plain


def fitted(plain: Any, where: str, target: Target) -> Any:
    """Plain data with nothing but types that the target has. Raises: ValueError: the target has no such key."""
    cls = type(plain)
    if cls is dict:
        return {_key(key, where, target): fitted(item, f"{where}[{key!r}]", target) for key, item in plain.items()}
    if cls in LISTS:
        return [fitted(item, f"{where}[{n}]", target) for n, item in enumerate(plain)]
    return plain if cls in target.leaves else _WRITERS[cls](plain)


def _key(key: Any, where: str, target: Target) -> Any:
    if type(key) in target.keys:
        return key
    found = str(key) if type(key) in (int, float) else fitted(key, where, target)
    if type(found) not in target.keys:
        raise ValueError(f"{where}: {target.format} has no key {shown(key)}")
    return found


def problem_of(value: Any) -> str:
    """Why a leaf would not come back as it is; empty where it would."""
    zone = value.tzinfo if isinstance(value, datetime | time) else None
    if zone is not None and type(zone) is not timezone:
        return f"a time zone with rules ({shown(zone)}) is no plain data; use .astimezone(timezone.utc)"
    return ""


def _exact_float(value: int, where: str) -> float:
    with suppress(OverflowError):
        if float(value) == value:
            return float(value)
    raise ValueError(f"{where} takes float, and none is exactly {shown(value)}")


def _canonical(cls: Callable[[str], Any]) -> Callable[[str], Any]:
    """Reads a number only from the very text that Python writes for it."""

    def read(text: str) -> Any:
        value = cls(text)
        if str(value) != text:
            raise ValueError(f"{text!r} is not how {value!r} is written")
        return value

    return read


_BASES: dict[type, Callable[[Any], Any]] = {str: str.__str__, int: int.__int__, float: float.__float__}
_READERS: dict[type, Callable[[str], Any]] = {
    int: _canonical(int), float: _canonical(float), complex: complex, Decimal: Decimal, UUID: UUID,
    datetime: datetime.fromisoformat, date: date.fromisoformat, time: time.fromisoformat,
    bytes: lambda text: base64.b64decode(text, validate=True),
}  # fmt: skip
_WRITERS: dict[type, Callable[[Any], Any]] = {
    complex: str, Decimal: str, UUID: str, datetime: datetime.isoformat, date: date.isoformat, time: time.isoformat,
    bytes: lambda data: base64.b64encode(data).decode("ascii"), timedelta: timedelta.total_seconds,
}  # fmt: skip
_WORDS = {
    "1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False,
}  # fmt: skip
_SPELLED = {bool: "true or false (1, 0, yes, no, on, off)", timedelta: "a number of seconds"}
_PARSERS: dict[type, Callable[[str], Any]] = {
    bool: lambda text: _WORDS[text.strip().lower()], int: int, float: float, str: str,
    timedelta: lambda text: timedelta(seconds=float(text)),
    NOTHING: lambda text: {"": None, "none": None, "null": None}[text.strip().lower()],
}  # fmt: skip


class Path:
    """A path of `pathlib`, plain as str."""

    def __init__(self, cls: type[PurePath]) -> None:
        self.cls = cls
        self.name = cls.__name__

    def take(self, value: Any, where: str, source: Source) -> Any:
        if isinstance(value, self.cls):
            return value
        if source is Source.PROGRAM or type(value) is not str:
            raise refused(where, self.name, value)
        return self.cls(value)

    def plain(self, value: Any, where: str) -> Any:
        return str(value)

    def parse(self, text: str, where: str) -> Any:
        return self.cls(text)


class Member:
    """A member of an enum, plain as its value, or as its name where a value of the enum is no scalar."""

    def __init__(self, cls: type[Enum]) -> None:
        self.cls = cls
        self.name = f"{cls.__name__} ({', '.join(cls.__members__)})"
        self.by_value = all(isinstance(member.value, SCALARS) for member in cls)

    def take(self, value: Any, where: str, source: Source) -> Any:
        if isinstance(value, self.cls):
            return value
        if source is not Source.PROGRAM:
            for one in self.cls:
                if self.by_value and one.value == value and isinstance(value, bool) == isinstance(one.value, bool):
                    return one
            if isinstance(value, str) and value in self.cls.__members__:
                return self.cls[value]
            if type(value) is int:
                with suppress(ValueError):
                    return self.cls(value)  # several members of a Flag
        raise refused(where, self.name, value)

    def plain(self, value: Any, where: str) -> Any:
        found = value.value if self.by_value else value.name
        base = next((base for base in _BASES if isinstance(found, base) and not isinstance(found, bool)), None)
        return found if base is None else _BASES[base](found)

    def parse(self, text: str, where: str) -> Any:
        for member in self.cls:
            if str(member.value) == text:
                return member
        if not issubclass(self.cls, Flag):
            return self.take(text, where, Source.TEXT)
        # Members by name or number with `|` or `,` between them: `READ|WRITE`, as Python shows them.
        words = [word.strip().removeprefix(f"{self.cls.__name__}.") for word in text.replace("|", ",").split(",")]
        found: Any = self.cls(0)
        for word in filter(None, words) if len(words) == 1 else words:
            known = word in self.cls.__members__
            plain = int(word) if word.isdecimal() else word
            found |= self.cls[word] if known else self.take(plain, where, Source.TEXT)
        return found


class OneOf:
    """One of the values of a Literal."""

    def __init__(self, values: tuple[Any, ...]) -> None:
        self.values = values
        self.name = "one of " + ", ".join(map(repr, values))

    def take(self, value: Any, where: str, source: Source) -> Any:
        for allowed in self.values:
            if type(allowed) is type(value) and allowed == value:
                return allowed
            is_plain = source is not Source.PROGRAM and isinstance(allowed, Enum)
            if is_plain and self.plain(allowed, where) == value:
                return allowed
        raise ValueError(f"{where} takes {self.name}, not {shown(value)}")

    def plain(self, value: Any, where: str) -> Any:
        return Member(type(value)).plain(value, where) if isinstance(value, Enum) else value

    def parse(self, text: str, where: str) -> Any:
        for allowed in self.values:
            if text in (str(allowed), str(getattr(allowed, "value", allowed))):
                return allowed
        raise ValueError(f"{where} takes {self.name}, not {shown(text)}")
