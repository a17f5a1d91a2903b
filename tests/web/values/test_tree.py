"""Values as trees, in full and in one line: every kind of plain value, and the bounds that all of them keep."""

from __future__ import annotations

import array
import datetime as dt
import decimal
import enum
import fractions
import pathlib
import re
import uuid
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from markup import markup_of

from store.web.values import brief, whole
from store.web.values.bounds import Bounds
from store.web.values.lines import line_of
from store.web.values.tree import MOST_PARTS, MOST_TEXT, tree


class Color(enum.Enum):
    RED = "r"


class Level(enum.IntEnum):
    HIGH = 3


class Names(list):  # type: ignore[type-arg]
    pass


Point = namedtuple("Point", "x y")
UTC = dt.timezone.utc  # noqa: UP017
SCALARS: list[tuple[Any, str]] = [
    (None, "None"), (True, "True"), (12, "12"), (-1.5, "-1.5"), (2j, "2j"), (float("nan"), "nan"), ("hi", "'hi'"), (..., "Ellipsis"),
    (1 << 100_000, "a number of 100,001 bits"), (decimal.Decimal("1.10"), "1.10"), (fractions.Fraction(1, 3), "1/3"),
    (decimal.Decimal("1" * 50_000), "a decimal number of"), (dt.date(2024, 1, 2), "2024-01-02"),
    (dt.datetime(2024, 1, 2, 3, 4, 5), "2024-01-02 03:04:05"), (dt.datetime(2024, 1, 2, tzinfo=UTC), "2024-01-02 00:00:00+00:00"),
    (dt.datetime(2024, 7, 2, tzinfo=ZoneInfo("UTC")), "2024-07-02 00:00:00+00:00"), (dt.time(1, 2), "01:02:00"),
    (dt.timedelta(1, 2), "1 day, 0:00:02"), (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"), (range(1, 5), "range(1, 5, 1)"),
    (pathlib.PurePosixPath("/a/b"), "/a/b"), (re.compile("a+"), "re.compile('a+')"), (Color.RED, "Color.RED = 'r'"), (Level.HIGH, "Level.HIGH = 3"),
    (dict, "<class dict>"), (len, "<builtin_function_or_method>"),
]  # fmt: skip
LINES: list[tuple[Any, str]] = [
    ([1, "a", [2]], "[1, 'a', [2]]"), ((1,), "(1,)"), ({"a": {1: None}}, "{'a': {1: None}}"), ({1}, "{1}"), (frozenset({1}), "frozenset({1})"),
    (deque([1]), "deque([1])"), (OrderedDict(a=1), "OrderedDict({'a': 1})"), (Counter("aa"), "Counter({'a': 2})"), (Point(1, 2), "Point(x=1, y=2)"),
    (b"ab", "b'ab'"), (bytearray(b"ab"), "b'ab'"), (memoryview(b"ab"), "b'ab'"), ([], "[]"), (Names([1]), "Names([1])"),
    (ValueError("bad", 3), "ValueError(args=('bad', 3))"), (array.array("i", [1, 2]), "array(1, 2)"), (object(), "<object>"),
    ([[[[[1]]]]], "[[[[…]]]]"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "shown"), SCALARS, ids=[shown for _, shown in SCALARS])
def test_value_without_parts(value: Any, shown: str) -> None:
    assert markup_of(whole(value)).text.startswith(shown)
    assert markup_of(brief(value)).text.startswith(shown)


@pytest.mark.parametrize(("value", "shown"), LINES, ids=[shown for _, shown in LINES])
def test_value_in_one_line(value: Any, shown: str) -> None:
    assert line_of(value) == shown
    assert line_of(value, 5) == (shown if len(shown) <= 5 else shown[:4] + "…")
    markup_of(whole(value))


def test_tree_has_keys_and_values_of_each_level() -> None:
    found = markup_of(whole({"a": [1, {"b": "c"}], 2: Point(3, 4)}))
    assert found.names().count("details") == 4
    for shown in ("dict, 2 items", "'a': list, 2 items", "0: 1", "'b': 'c'", "2: Point, 2 fields", "y: 4"):
        assert shown in found.text, shown
    assert found.first("details") == {"open": None}


def test_attributes_follow_the_items_of_a_subclass() -> None:
    names = Names(["x"])
    names.owner = "me"  # type: ignore[attr-defined]
    assert "0: 'x'owner: 'me'" in markup_of(whole(names)).text
    made = defaultdict(list, a=1)
    assert "'a': 1default_factory: <class list>" in markup_of(whole(made)).text


def test_container_that_holds_itself() -> None:
    ring: list[Any] = [1]
    ring.append({"back": ring})
    assert "'back': the same object as above" in markup_of(whole(ring)).text
    assert line_of(ring) == "[1, {'back': …}]"


def test_many_items_are_cut_and_counted() -> None:
    found = markup_of(whole(list(range(100_000))))
    assert found.text.endswith(f"… {100_000 - MOST_PARTS:,} more items")
    assert found.names().count("li") == MOST_PARTS + 1


def test_one_value_shares_its_allowance() -> None:
    wide: Any = {str(at): [[at] * 50] * 50 for at in range(90)}
    found = markup_of(tree(wide, Bounds(items=200)))
    assert found.names().count("li") <= 200 + found.text.count("… ")
    assert "more items" in found.text


def test_deep_value_ends_in_a_line() -> None:
    deep: Any = 1
    for _ in range(50_000):
        deep = [deep]
    found = markup_of(tree(deep, Bounds(deep=3)))
    assert found.names().count("details") == 3 and found.text.endswith("0: [[[[…]]]]")
    while type(deep) is list:  # a destructor would go as deep
        deep = deep.pop()


def test_shared_parts_are_not_multiplied() -> None:
    tower: Any = []
    for _ in range(60):
        tower = [tower, tower]
    assert len(whole(tower)) < 1_000_000 and len(brief(tower)) < 1_000


def test_time_that_is_used_up_ends_the_tree() -> None:
    ticks = iter(range(1_000))
    found = markup_of(tree(list(range(50)), Bounds(seconds=10, clock=lambda: float(next(ticks)))))
    assert "… 40 more items" in found.text


def test_long_text_is_cut_and_counted() -> None:
    found = markup_of(whole("é" * 1_000_000))
    assert found.names() == ["div", "pre", "span"]
    assert found.text == "é" * MOST_TEXT + f"\n… {1_000_000 - MOST_TEXT:,} more characters"
    assert len(markup_of(brief("é" * 1_000_000)).text) == 80
    nested = markup_of(whole({"story": "one\ntwo"}))
    assert nested.text.endswith("'story': 7 characters 'one\\ntwo'one\ntwo")


def test_texts_of_one_value_share_its_characters() -> None:
    assert len(markup_of(whole(dict.fromkeys(range(90), "x" * 9000))).text) < 60_000


def test_rows_of_dicts_are_a_table() -> None:
    rows: list[dict[str, Any]] = [{"name": "a", "n": 1}, {"name": "b", "n": 2, "x": None}, {"n": 3, "x": b"y", "name": "c"}]
    found = markup_of(whole(rows))
    assert found.names().count("tr") == 4
    assert found.text == "namenx0'a'11'b'2None2'c'3b'y'"
    long = markup_of(whole([{"n": at} for at in range(1_000)]))
    assert long.names().count("tr") == 51 and long.text.endswith("950 more rows not shown")


@pytest.mark.parametrize(
    "rows",
    [
        [{"a": 1}], [{"a": [1]}, {"a": 2}], [{1: 2}, {1: 3}], [{"a": 1}, {"b": 1}, {"c": 1}], [{"a": 1}, None], [{}, {}],
        [dict.fromkeys(map(str, range(30)), 1)] * 2, [OrderedDict(a=1), OrderedDict(a=2)],
    ],
    ids=["one", "nested", "keys that are no text", "irregular", "mixed", "empty", "wide", "subclass"],
)  # fmt: skip
def test_other_lists_are_trees(rows: Any) -> None:
    assert "table" not in markup_of(whole(rows)).names()


def test_bytes_are_digits_and_text() -> None:
    found = markup_of(whole(b"<b>\x00\xff" * 200))
    assert "00000000  3c 62 3e 00 ff" in found.text and "<b>··<b>··" in found.text
    assert found.text.endswith("… 488 more bytes")
    assert markup_of(whole(b"")).text == "0 B of bytes"
