"""The restricted decoder beside the standard library's: the same value, of the same types, at every protocol."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import ipaddress
import math
import pathlib
import pickle as stdlib
import pickletools
import uuid
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import store
from store.codecs import pickle


@store.allow
class Plain:
    def __init__(self, x: Any) -> None:
        self.x = x


@store.allow
class Slotted:
    __slots__ = ("a", "b")

    def __init__(self, a: Any) -> None:
        self.a = a  # `b` stays unset


@store.allow
class WithState:
    def __init__(self, x: Any) -> None:
        self.x = x

    def __getstate__(self) -> Any:
        return ("state", self.x)

    def __setstate__(self, state: Any) -> None:
        self.x = state[1]


@store.allow
@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    a: Any
    b: int = 0


@store.allow
class Color(enum.Enum):
    RED = 1
    BLUE = "b"


@store.allow
class Level(enum.IntEnum):
    LOW = 1


@store.allow
class Pair(NamedTuple):
    x: Any
    y: Any


@store.allow
class Failure(ValueError):
    pass


@store.allow
class Names(list):  # type: ignore[type-arg]
    pass


@store.allow
class Table(dict):  # type: ignore[type-arg]
    pass


def shape(value: Any, seen: dict[int, int] | None = None) -> Any:
    """What a value is, down to the types, with references to what came before as numbers."""
    seen = {} if seen is None else seen
    if id(value) in seen:
        return ("again", seen[id(value)])
    kind = type(value)
    if kind is float:
        return (kind, value.hex() if not math.isnan(value) else "nan")
    if isinstance(value, (list, tuple, dict, set, frozenset, collections.deque)) or hasattr(value, "__dict__"):
        seen[id(value)] = len(seen)
    inner: list[Any] = []
    if isinstance(value, dict):
        inner = [(shape(key, seen), shape(item, seen)) for key, item in value.items()]
    elif isinstance(value, (set, frozenset)):
        inner = sorted((shape(item, seen) for item in value), key=repr)
    elif isinstance(value, (list, tuple, collections.deque)):
        inner = [shape(item, seen) for item in value]
    more = [getattr(value, name, None) for name in ("maxlen", "default_factory")]
    if isinstance(value, BaseException):
        more += [shape(value.args, seen), getattr(value, "__notes__", None)]
    if kind in (Plain, WithState, Failure, Names, Table):
        more.append(shape(value.__dict__, seen))
    if kind is Slotted:
        more.append((shape(value.a, seen), hasattr(value, "b")))
    if kind is Frozen:
        more.append((shape(value.a, seen), value.b))
    containers = (list, tuple, dict, set, frozenset, collections.deque, BaseException, Plain, Slotted, WithState, Frozen)
    return (kind, None if isinstance(value, containers) else repr(value), inner, more)


def failure(text: str, note: str, extra: Any) -> Failure:
    error = Failure(text)
    error.add_note(note)
    error.extra = extra  # type: ignore[attr-defined]
    return error


zones = st.sampled_from([None, datetime.UTC, datetime.timezone(datetime.timedelta(hours=-3, minutes=30), "X")])
keys = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9) | st.binary(max_size=9)
    | st.decimals(allow_nan=False) | st.fractions() | st.uuids() | st.dates() | st.datetimes(timezones=zones)
    | st.times(timezones=zones) | st.timedeltas() | st.complex_numbers(allow_nan=False) | st.ip_addresses()
    | st.sampled_from([Color.RED, Color.BLUE, Level.LOW, int, len, ..., NotImplemented, type(None), ValueError])
)  # fmt: skip
hashable = st.recursive(
    keys, lambda inner: st.tuples(inner) | st.tuples(inner, inner) | st.frozensets(inner, max_size=4), max_leaves=8
)
leaves = (
    hashable | st.floats() | st.integers(-(2**3000), 2**3000) | st.binary(max_size=40).map(bytearray)
    | st.text(st.characters(), max_size=20) | st.builds(range, st.integers(), st.integers(), st.integers(1, 9))
    | st.builds(slice, st.integers(), st.none() | st.integers(), st.none()) | st.decimals()
    | st.lists(st.sampled_from(["a", "..", "b c"]), max_size=3).map(lambda parts: pathlib.PurePosixPath(*parts))
    | st.sampled_from([pathlib.PureWindowsPath("c:\\x"), pathlib.Path("y"), ipaddress.ip_network("10.0.0.0/8"),
                       ipaddress.ip_interface("::1/64"), OSError(2, "no"), KeyError("k"), object])
)  # fmt: skip


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    table = st.dictionaries(hashable, inner, max_size=4)
    return (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=5).map(tuple) | table | st.sets(hashable, max_size=4)
        | table.map(collections.OrderedDict) | st.lists(inner, max_size=3).map(collections.deque)
        | st.lists(inner, max_size=3).map(lambda items: collections.deque(items, 2))
        | st.dictionaries(hashable, st.integers(), max_size=3).map(collections.Counter)
        | table.map(lambda items: collections.defaultdict(list, items)) | inner.map(Plain) | inner.map(Slotted)
        | inner.map(WithState) | inner.map(Frozen) | st.builds(Pair, inner, inner) | inner.map(lambda x: [x, x])
        | st.builds(failure, st.text(max_size=4), st.text(max_size=4), inner) | st.lists(inner, max_size=3).map(Names)
        | table.map(Table)
    )  # fmt: skip


values = st.recursive(leaves, containers, max_leaves=12)


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of the strategies, should one fail
@pytest.mark.parametrize("protocol", range(6))
@settings(max_examples=80, deadline=None)
@given(values)
@pytest.mark.slow
def test_value_and_types_are_those_of_the_stdlib(protocol: int, value: Any) -> None:
    if isinstance(value, Slotted) and protocol < 2:
        value = [1]  # slots need protocol 2
    try:
        body = stdlib.dumps(value, protocol)
    except (TypeError, ValueError, stdlib.PicklingError):  # slots, and numbers of over 4,300 digits, at protocols 0 and 1
        return
    expected = shape(stdlib.loads(body))
    assert shape(pickle.loads(body)) == expected
    assert shape(pickle.codec.decode_restricted(body, allow=store.classes.allowlist.allowed())) == expected
    assert shape(pickle.loads(pickletools.optimize(body))) == expected
    assert shape(pickle.loads(stdlib._dumps(value, protocol))) == expected  # the pickler in Python frames otherwise


@pytest.mark.parametrize("protocol", range(6))
def test_cycles_come_back_as_cycles(protocol: int) -> None:
    ring: list[Any] = []
    ring.append(ring)
    table: dict[str, Any] = {}
    table["self"] = table
    plain = Plain(None)
    plain.x = (plain, {"again": plain})
    for value in (ring, table, plain, [ring, table, ring]):
        body = stdlib.dumps(value, protocol)
        assert shape(pickle.loads(body)) == shape(stdlib.loads(body))


def test_uuid_of_every_kind() -> None:
    for value in (uuid.uuid1(), uuid.uuid4(), uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)):
        found = pickle.loads(stdlib.dumps(value))
        assert (found, found.is_safe) == (value, value.is_safe)


def test_numbers_of_decimal_and_fractions_at_their_edges() -> None:
    for value in (decimal.Decimal("sNaN"), decimal.Decimal("-0"), decimal.Decimal("1E+999999"), fractions.Fraction(-1, 9)):
        for protocol in range(6):
            assert repr(pickle.loads(stdlib.dumps(value, protocol))) == repr(value)
