"""The classes of a program that reads hostile records: those it allows, and those that would do harm."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import os  # so that a dotted name can walk from here to `os.system`
from typing import Any

SECRET = "not to be told"


def danger(*args: Any) -> int:
    """Leaves the marker; nobody allowed it."""
    with open(os.environ["HOSTILE_MARKER"], "w"):
        return 0


class Trap:
    """Does harm in every way a pickle can make it; nobody allowed it."""

    def __new__(cls, *args: Any, **named: Any) -> Trap:
        danger()
        return object.__new__(cls)

    def __setstate__(self, state: Any) -> None:
        danger()


class Plain:
    """An allowed class with an ordinary state."""

    def method(self) -> str:
        return "as it was written"

    @staticmethod
    def danger(*args: Any) -> int:
        return danger()

    class Inner:
        """Nested, and allowed as well."""


class Guarded:
    """Its attribute is set with care, and not by a record."""

    @property
    def attribute(self) -> None:
        return None

    @attribute.setter
    def attribute(self, value: Any) -> None:
        danger()


class Slotted:
    __slots__ = ("here",)


class Point(collections.namedtuple("Point", "x y")):
    __slots__ = ()


@dataclasses.dataclass(frozen=True)
class Frozen:
    """Hashed by what it holds."""

    part: Any = None


class Choice(enum.IntEnum):
    ONE = 1
    TWO = 2


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Access(enum.IntFlag):
    READ = 1
    WRITE = 2


class Bare(enum.Enum):
    """Without members: calling it with two arguments makes a class."""


class AList(list):
    pass


class ADict(dict):
    pass


class ASet(set):
    pass


class ATuple(tuple):
    __slots__ = ()


class SomeBytes(bytes):
    pass


class SomeText(str):
    __slots__ = ()


class AnError(ValueError):
    pass


class ManyErrors(ExceptionGroup):
    pass


class ReadError(UnicodeDecodeError):
    pass


class AnInt(int):
    pass


class ADecimal(decimal.Decimal):
    pass


class AFraction(fractions.Fraction):
    pass


class ACounter(collections.Counter):
    pass


class ADefault(collections.defaultdict):
    pass


class AFrozenSet(frozenset):
    pass


class AByteArray(bytearray):
    pass


class Moment(datetime.datetime):
    pass


class Rows(list):
    """Has a constructor of its own, which hands on what it is given."""

    def __init__(self, rows: Any = ()) -> None:
        super().__init__(rows)


class Ratio(fractions.Fraction):
    def __new__(cls, value: Any) -> Ratio:
        return super().__new__(cls, value)


class NoModule(ImportError):
    pass


class NoSyntax(SyntaxError):
    pass


class GuardedError(ValueError):
    """Its code is set with care, and not by a record."""

    @property
    def name(self) -> None:
        return None

    @name.setter
    def name(self, value: Any) -> None:
        danger()

    @property
    def args(self) -> Any:
        return ()

    @args.setter
    def args(self, value: Any) -> None:
        danger()


class Collecting:
    """Like a list, with a slot for a name that its base has as a method."""

    __slots__ = ("append", "items")


class Lazy:
    """What it appends to is a property."""

    @property
    def append(self) -> Any:
        danger()
        return list.append

    extend = append


class Tagged:
    """Hashes what it is given."""

    def __init__(self, tags: Any) -> None:
        self.tags = frozenset(tags)


ALLOWED: tuple[type, ...] = (
    Plain, Plain.Inner, Guarded, Slotted, Point, Frozen, Choice, Colour, Access, Bare, AList, ADict, ASet, ATuple, SomeBytes,
    SomeText, AnError, ManyErrors, ReadError, Tagged, AnInt, ADecimal, AFraction, ACounter, ADefault, AFrozenSet,
    AByteArray, Moment, Rows, Ratio, NoModule, NoSyntax, GuardedError, Collecting, Lazy,
)  # fmt: skip
_METHOD = Plain.method


def intact() -> bool:
    """Nothing that everybody shares was changed."""
    return (
        Plain.method is _METHOD
        and [(member.name, member.value) for member in Choice] == [("ONE", 1), ("TWO", 2)]
        and [(member.name, member.value) for member in Colour] == [("RED", "red"), ("BLUE", "blue")]
        and Choice(1) is Choice.ONE
        and len("four") == 4
        and len(Bare) == 0
    )
