"""Values as texts that a person edits: whatever is shown comes back as it is, and the rest is not shown."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from browsed_forms import forms_in

from store.display.html import element
from store.web.forms.controls import text_area
from store.web.forms.spelling import MOST_LITERAL, read, spelled


class Sneaky(dict[str, int]):
    def __repr__(self) -> str:
        raise AssertionError("the code of a value ran")


VALUES = [
    None, True, 0, -5, 10**40, 1.5, -0.0, 1e-7, 2j, "", "hello", "\nfirst line is empty", "a\r\nb", "tab\there",
    "\x00\u202e", "\U000e0001", "<b>&amp;</b>", "\ud800", b"", b"\x00\xff", [1, [2]], (1, (2,)), {"a": 1}, {1: "a"},
    {"a": (1, 2)}, {1, 2}, set(), {"k": {1, 2}, "b": b"x"}, [1.0, True, None], {"é\u202e": "ü"}, " padded ",
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_value_comes_back_through_a_form(value: Any) -> None:
    found = spelled(value)
    assert found is not None
    form, text = found
    sent = forms_in(element("form", text_area("value", text)))[""].sent()
    assert repr(read(form, sent["value"])) == repr(value)


def many_times(levels: int) -> Any:
    value: Any = "x" * 100
    for _ in range(levels):
        value = [value, value]
    return value


def ring() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [Sneaky(a=1), [Sneaky(a=1)], {"a": (Sneaky(),)}, object(), Decimal(1), math.inf, [math.nan], frozenset((1,)),
     10**5000, ring(), many_times(60)],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_value_that_no_text_spells(value: Any) -> None:
    assert spelled(value) is None


@pytest.mark.parametrize(
    ("form", "text", "says"),
    [
        ("value", "hello", "neither JSON nor a Python literal; a text needs quotes"),
        ("value", "", "neither"),
        ("value", "__import__('os')", "neither"),
        ("value", "NaN", "neither"),
        ("value", "[" * 100_000, "neither"),
        ("value", "(" + "1," * MOST_LITERAL + ")", "at most 1,048,576 characters"),
        ("base64", "é", "not base64"),
        ("base64", "abc", "not base64"),
        ("pickle", "x", "There is no form 'pickle'"),
    ],
    ids=lambda text: text[:12],
)
def test_text_that_is_no_value(form: str, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read(form, text)


def test_long_json_is_read() -> None:
    assert len(read("value", "[" + "1," * MOST_LITERAL + "1]")) == MOST_LITERAL + 1
