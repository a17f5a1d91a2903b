"""What a field's type takes: scalars, enums, literals, paths, and plain data of any kind.

A `Kind` is made from a type once and then checks values as they are written, gives their plain form (what is stored,
or put into a text), and makes values of plain forms again. Plain data names no class: reading it runs nothing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal, InvalidOperation
from enum import Enum, Flag
from pathlib import PurePath
from typing import Any, NamedTuple
from uuid import UUID

from store.classes.shown import shown

NOTHING = type(None)
SCALARS = (NOTHING, bool, int, float, str)
LEAVES = frozenset({*SCALARS, bytes, datetime, date, time, timedelta, Decimal, UUID, complex})


class Target(NamedTuple):
    """What plain data is for: which types it may have as they are; the others become text, or numbers."""

    format: str
    leaves: frozenset[type]
    keys: frozenset[type]


STORED = Target("the store", LEAVES, LEAVES)


class Kind:
    """What values of one type are. `where` names the field in errors, as `Prefs.recent[2]`."""

    name = ""

    def check(self, value: Any, where: str) -> Any:
        """The value as it is to be held. Raises: TypeError, ValueError: the type does not take it."""
        raise NotImplementedError

    def plain(self, value: Any, target: Target, where: str) -> Any:
        """The plain form of a value that was checked. Raises: ValueError: the target has none for it."""
        raise NotImplementedError

    def restore(self, plain: Any, where: str, strict: bool = False) -> Any:
        """The value of a plain form, converted where that loses nothing.

        `strict`: a nested object may have no field that its class does not know.

        Raises:
            TypeError, ValueError: it does not fit.
        """
        raise NotImplementedError

    def parse(self, text: str, where: str) -> Any:
        """The value that a text from the environment spells. Raises: TypeError, ValueError."""
        return self.restore(text, where)


def refused(where: str, takes: str, value: Any) -> TypeError:
    """The error for a value that is not of a type."""
    return TypeError(f"{where} takes {takes}, not {shown(value)} ({type(value).__name__})")


# -- leaves


class Leaf(Kind):
    """A scalar, or another type that is plain data by itself."""

    def __init__(self, cls: type) -> None:
        self.cls = cls
        self.name = "None" if cls is NOTHING else cls.__name__

    def check(self, value: Any, where: str) -> Any:
        if type(value) is self.cls:
            problem = problem_of(value)
            if problem:
                raise ValueError(f"{where}: {problem}")
            return value
        if self.cls is float and isinstance(value, int) and not isinstance(value, bool):
            return _exact_float(value, where)
        if self.cls in (str, int, float) and isinstance(value, self.cls) and not isinstance(value, bool):
            return _BASES[self.cls](value)  # a subclass would come back as its base: here it becomes it
        raise refused(where, self.name, value)

    def plain(self, value: Any, target: Target, where: str) -> Any:
        return leaf_for(value, target)

    def restore(self, plain: Any, where: str, strict: bool = False) -> Any:
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
            return _seconds(plain, where)
        return self.check(plain, where)

    def parse(self, text: str, where: str) -> Any:
        reader = _PARSERS.get(self.cls)
        if reader is None:
            return self.restore(text, where)
        try:
            return reader(text)
        except (ValueError, KeyError, OverflowError) as exc:
            raise refused(where, _SPELLED.get(self.cls, self.name), text) from exc


def leaf_for(value: Any, target: Target) -> Any:
    """The leaf as it is where the target has its type, else as text or a number."""
    if type(value) in target.leaves:
        return value
    return _WRITERS[type(value)](value)


def problem_of(value: Any) -> str:
    """Why a leaf would not come back as it is; empty where it would."""
    zone = value.tzinfo if isinstance(value, datetime | time) else None
    if zone is not None and type(zone) is not timezone:
        return f"a time zone with rules ({shown(zone)}) is no plain data; use .astimezone(timezone.utc)"
    return ""


def _exact_float(value: int, where: str) -> float:
    try:
        found = float(value)
    except OverflowError:
        found = 0.0
    if found != value:
        raise ValueError(f"{where} takes float, and none is exactly {shown(value)}")
    return found


def _seconds(plain: float, where: str) -> timedelta:
    try:
        return timedelta(seconds=plain)
    except (ValueError, OverflowError) as exc:
        raise ValueError(f"{where}: {shown(plain)} seconds are no timedelta: {exc}") from exc


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


# -- what is a scalar once it is plain


class Path(Kind):
    """A path of `pathlib`, plain as str."""

    def __init__(self, cls: type[PurePath]) -> None:
        self.cls = cls
        self.name = cls.__name__

    def check(self, value: Any, where: str) -> Any:
        if not isinstance(value, self.cls):
            raise refused(where, self.name, value)
        return value

    def plain(self, value: Any, target: Target, where: str) -> Any:
        return str(value)

    def restore(self, plain: Any, where: str, strict: bool = False) -> Any:
        if isinstance(plain, self.cls):
            return plain
        if type(plain) is not str:
            raise refused(where, self.name, plain)
        return self.cls(plain)


class Member(Kind):
    """A member of an enum, plain as its value; as its name where a value is no scalar."""

    def __init__(self, cls: type[Enum]) -> None:
        self.cls = cls
        self.name = f"{cls.__name__} ({', '.join(cls.__members__)})"
        self.by_value = all(isinstance(member.value, SCALARS) for member in cls)

    def check(self, value: Any, where: str) -> Any:
        if not isinstance(value, self.cls):
            raise refused(where, self.name, value)
        return value

    def plain(self, value: Any, target: Target, where: str) -> Any:
        found = value.value if self.by_value else value.name
        for base in (str, int, float):
            if isinstance(found, base) and not isinstance(found, bool):
                found = _BASES[base](found)
                break
        return leaf_for(found, target)

    def restore(self, plain: Any, where: str, strict: bool = False) -> Any:
        if isinstance(plain, self.cls):
            return plain
        for member in self.cls:
            if self.by_value and member.value == plain and isinstance(plain, bool) == isinstance(member.value, bool):
                return member
        if isinstance(plain, str) and plain in self.cls.__members__:
            return self.cls[plain]
        return self._combined(plain, where)

    def parse(self, text: str, where: str) -> Any:
        for member in self.cls:
            if str(member.value) == text:
                return member
        return self._parsed_flags(text, where) if issubclass(self.cls, Flag) else self.restore(text, where)

    def _parsed_flags(self, text: str, where: str) -> Any:
        """Members of a Flag by name or number, with `|` or `,` between them: `READ|WRITE`, as Python shows them."""
        words = [word.strip().removeprefix(f"{self.cls.__name__}.") for word in text.replace("|", ",").split(",")]
        found: Any = self.cls(0)
        for word in filter(None, words) if len(words) == 1 else words:
            if word in self.cls.__members__:
                found |= self.cls[word]
            else:
                found |= self.restore(int(word) if word.isdecimal() else word, where)
        return found

    def _combined(self, plain: Any, where: str) -> Any:
        """Several members of a Flag, which are one value."""
        if type(plain) is int:
            try:
                return self.cls(plain)
            except ValueError:
                pass
        raise ValueError(f"{where} takes {self.name}, not {shown(plain)} ({type(plain).__name__})")


class OneOf(Kind):
    """One of the values of a Literal."""

    def __init__(self, values: tuple[Any, ...]) -> None:
        self.values = values
        self.name = "one of " + ", ".join(map(repr, values))

    def check(self, value: Any, where: str) -> Any:
        for allowed in self.values:
            if type(allowed) is type(value) and allowed == value:
                return allowed
        raise ValueError(f"{where} takes {self.name}, not {shown(value)}")

    def plain(self, value: Any, target: Target, where: str) -> Any:
        if isinstance(value, Enum):
            return Member(type(value)).plain(value, target, where)
        return leaf_for(value, target)

    def restore(self, plain: Any, where: str, strict: bool = False) -> Any:
        for allowed in self.values:
            if isinstance(allowed, Enum) and self.plain(allowed, STORED, where) == plain:
                return allowed
        return self.check(plain, where)

    def parse(self, text: str, where: str) -> Any:
        for allowed in self.values:
            if text in (str(allowed), str(getattr(allowed, "value", allowed))):
                return allowed
        raise ValueError(f"{where} takes {self.name}, not {shown(text)}")
