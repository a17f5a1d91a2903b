"""The canonical form of values: what is equal, what is not, what has none."""

from __future__ import annotations

import datetime as dt
import functools
import io
import re
import subprocess
import sys
from collections import Counter, OrderedDict, deque, namedtuple
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, Flag
from fractions import Fraction
from ipaddress import ip_address, ip_network
from itertools import combinations
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from store.memo.canonical.form import canonical


@dataclass
class Point:
    x: int
    y: Any = 0
    log: Any = field(default=None, compare=False)

    @functools.cached_property
    def length(self) -> int:
        return self.x


@dataclass(frozen=True, slots=True)
class Slotted:
    x: int


class Colour(Enum):
    RED = 1
    BLUE = 2


class Other(Enum):
    RED = 1


class Rights(Flag):
    R = 1
    W = 2


Pair = namedtuple("Pair", "a b")


class Keyed:
    def __init__(self, key: Any) -> None:
        self.key = key

    def __memo_key__(self) -> Any:
        return self.key


UTC = dt.UTC
OSLO = ZoneInfo("Europe/Oslo")
NOON = dt.datetime(2026, 1, 1, 12)

DIFFERENT = [
    None, ..., NotImplemented, True, False, 0, 1, -1, 127, 128, 255, 256, -128, -129, 2**64, 10**5000, 0.0, -0.0, 1.0,
    float("nan"), float("inf"), 1j, complex(1, 0), "", "1", "a", "é", "\ud800", b"", b"1", b"a", bytearray(b"a"),
    [], [1], [1, 2], [[1], 2], [[1, 2]], ["ab", "c"], ["a", "bc"], (), (1,), (1, 2), ((1, 2),), deque([1]),
    deque([1], maxlen=3), {}, {1: 2}, {1: 3}, {2: 1}, {"1": 2}, {1: {}}, set(), {1}, {1, 2}, {(1, 2)}, frozenset(), frozenset({1}),
    Counter(), Counter("a"), OrderedDict(a=1, b=2), OrderedDict(b=2, a=1), range(3), range(0, 3, 2), slice(3), slice(0, 3),
    Point(1), Point(1, 2), Point(2, 1), Slotted(1), Pair(1, 2), Colour.RED, Colour.BLUE, Other.RED, Rights.R, Rights.R | Rights.W,
    Rights(0), Point, Colour, int, NOON, NOON.replace(fold=1), NOON.replace(tzinfo=UTC), NOON.replace(tzinfo=OSLO),
    dt.date(2026, 1, 1), dt.time(12), dt.timedelta(1), dt.timedelta(seconds=1), UTC, OSLO, dt.timezone(dt.timedelta(hours=1)),
    Decimal("1.0"), Decimal("1.00"), Decimal("NaN"), Fraction(1), Fraction(1, 3), UUID(int=1), Path("a"), Path("a/b"),
    PureWindowsPath("a"), ip_address("::1"), ip_address("127.0.0.1"), ip_network("127.0.0.1"), re.compile("a"),
    re.compile("a", re.I), re.compile(b"a"), Keyed(1), Keyed("1"),
]  # fmt: skip


def test_each_of_many_values_has_a_form_of_its_own() -> None:
    forms = [(value, canonical(value)) for value in DIFFERENT]
    assert [(a, b) for (a, form), (b, other) in combinations(forms, 2) if form == other] == []


def test_no_form_begins_another() -> None:
    """So that forms in a row are read back in one way only."""
    forms = [canonical(value) for value in DIFFERENT]
    assert not any(a.startswith(b) or b.startswith(a) for a, b in combinations(forms, 2))


@pytest.mark.parametrize(
    "one, other",
    [
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}),
        ({"x", "y", ("z",)}, {("z",), "y", "x"}),
        (frozenset("abcdef"), frozenset("fedcba")),
        (float("nan"), -float("nan")),
        (Point(1, {"a": 1, "b": 2}), Point(1, {"b": 2, "a": 1})),
        (Point(1, log=1), Point(1, log=open)),  # it takes no part in comparison
        (Path("a"), PurePosixPath("a")),
        (Counter("ab"), Counter("ba")),
        (Keyed({1: 2, 3: 4}), Keyed({3: 4, 1: 2})),
    ],
)
def test_what_is_equal_has_one_form(one: Any, other: Any) -> None:
    assert canonical(one) == canonical(other)


def test_what_was_set_on_a_dataclass_counts_but_not_what_it_cached() -> None:
    plain, cached, changed = Point(1), Point(1), Point(1)
    assert cached.length == 1
    changed.extra = 1  # type: ignore[attr-defined]
    assert canonical(plain) == canonical(cached) != canonical(changed)


def test_value_twice_is_no_cycle() -> None:
    inner = [1]
    assert canonical([inner, inner]) == canonical([[1], [1]])


class Plain:
    pass


class Listed(list):  # type: ignore[type-arg]
    pass


@dataclass
class Loaded(dict):  # type: ignore[type-arg]
    x: int


@pytest.mark.parametrize(
    "value, what",
    [
        (io.StringIO(), "a _io.StringIO"),
        (lambda: 1, "a function"),
        (len, "a builtin_function_or_method"),
        (Plain(), "Plain"),
        (Listed(), "Listed"),
        (Loaded(1), "Loaded"),
        (object(), "an object"),
        ([1, {"a": (object(),)}], "an object"),
        (iter([]), "a list_iterator"),
        (memoryview(b""), "a memoryview"),
    ],
)
def test_what_has_no_form_is_named(value: Any, what: str) -> None:
    with pytest.raises(TypeError, match=re.escape(what) + ".* no canonical form"):
        canonical(value)


def test_cycle_is_a_type_error() -> None:
    value: list[Any] = [1]
    value.append({"a": value})
    with pytest.raises(TypeError, match="a list contains itself"):
        canonical(value)


def test_deep_nesting_is_a_type_error() -> None:
    value: Any = 1
    for _ in range(100_000):
        value = (value,)
    with pytest.raises(TypeError, match="nested too deeply"):
        canonical(value)


def test_numpy_arrays_by_dtype_shape_and_content() -> None:
    np = pytest.importorskip("numpy", reason="NumPy is not installed: keys of arrays are not tested")
    grid = np.arange(6, dtype="<i4").reshape(2, 3)
    assert canonical(grid) == canonical(np.asfortranarray(grid)) == canonical(grid.copy())
    assert canonical(np.arange(12)[::2]) == canonical(np.arange(0, 12, 2))
    mixed = np.array([(1, 2.0)], dtype=[("a", "i1"), ("b", "f8")])
    aligned = np.zeros(1, dtype=np.dtype([("a", "i1"), ("b", "f8")], align=True))
    dirty = aligned.copy()
    dirty.view("u1")[1] = 7  # a byte between the fields
    assert canonical(aligned) == canonical(dirty)
    different = [
        grid, grid.T, grid.ravel(), grid.astype("<i8"), grid.astype(">i4"), grid + 1, grid.tolist(), grid[:0], grid[:, :0],
        np.int32(1), np.int64(1), np.float64(1), 1, 1.0, np.bool_(True), np.array(1, "<i4"), np.array(["a"]), np.array(["a"], "U2"),
        np.array(["a"], dtype=object), np.array([1], dtype=object), np.array(["2020"], "M8[Y]"), np.array(["2020"], "M8[D]"),
        mixed, np.array([(1, 3.0)], dtype=mixed.dtype), np.zeros(1, [("a", "i1"), ("b", "f8")]), np.zeros(1, [("a", "i1"), ("c", "f8")]),
        grid.dtype, mixed.dtype, np.dtype(("i4", (2,))), np.dtype(("i2", (4,))), np.dtype("V8"), np.float64,
    ]  # fmt: skip
    forms = [(value, canonical(value)) for value in different]
    assert [(a, b) for (a, form), (b, other) in combinations(forms, 2) if form == other] == []
    with pytest.raises(TypeError, match="MaskedArray has no canonical form"):
        canonical(np.ma.array([1]))
    with pytest.raises(TypeError, match="an object has no"):
        canonical(np.array([object()]))


@pytest.mark.parametrize("name", ["longdouble", "clongdouble"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_numpy_extended_floats_without_their_padding(name: str, order: str) -> None:
    np = pytest.importorskip("numpy", reason="NumPy is not installed: keys of arrays are not tested")
    dtype = np.dtype(getattr(np, name)).newbyteorder(order)
    clean = np.array([1, -0.0, np.inf, 2.5], dtype)
    dirty = clean.copy()
    size = np.dtype(np.longdouble).itemsize
    raw = dirty.view("u1").reshape(-1, size)
    if np.finfo(np.longdouble).nmant == 63:  # elsewhere every byte counts
        raw[:, 10:] = 7
        if order == ">":
            raw[:, 10:], raw[:, : size - 10] = clean.view("u1").reshape(-1, size)[:, 10:], 7
    assert (clean == dirty).all()
    assert canonical(clean) == canonical(dirty) == canonical(dirty.repeat(2)[::2])
    assert canonical(clean[1]) == canonical(dirty[1]) != canonical(clean.dtype.type(0.0))
    assert canonical(clean[:0]) == canonical(dirty[:0])
    record = np.dtype([("a", "i1"), ("b", dtype, (2,))])
    one, two = np.zeros(2, record), np.zeros(2, record)
    one["b"], two["b"] = clean.reshape(2, 2), dirty.reshape(2, 2)
    assert canonical(one) == canonical(two)
    forms = {canonical(value) for value in (clean, clean + 1, clean[::-1], -clean, clean.astype(np.complex128), [*clean])}
    assert len(forms) == 6


STABLE = """
import datetime, decimal, enum, uuid, pathlib, sys, hashlib
from collections import OrderedDict
from dataclasses import dataclass
from store.memo.canonical.form import canonical
assert "numpy" not in sys.modules
@dataclass
class D:
    x: object
class E(enum.Enum):
    A = "a"
value = [{"a": 1, "b": {"x", "y", "z"}, 3: frozenset({None, True, 2.5, "q"})}, D({"k", "l"}), E.A, datetime.datetime(2026, 1, 1),
         decimal.Decimal("1.5"), uuid.UUID(int=5), pathlib.PurePosixPath("a"), b"x", {("a", "b"), ("c",)}, D, OrderedDict(a=1), 1j]
print(hashlib.sha256(canonical(value)).hexdigest())
"""


@pytest.mark.slow
def test_forms_are_the_same_in_every_run() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", STABLE], env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True, text=True, timeout=60, check=True,
        ).stdout
        for seed in ("0", "1", "random")
    }  # fmt: skip
    # It is on disk, in the names of records: changing it is a new FORMAT in store/memo/key.py.
    assert found == {"351fc314a780dae8b675f029bff89171cad465e86a6e1e3d115160188d5139bc\n"}


def test_slots_of_a_base_that_is_no_dataclass_count() -> None:
    class Base:
        __slots__ = ("__dict__", "secret")

    @dataclass
    class Derived(Base):
        x: int = 1

    one, other = Derived(), Derived()
    one.secret, other.secret = 1, 2  # type: ignore[attr-defined]
    assert canonical(one) != canonical(other)
