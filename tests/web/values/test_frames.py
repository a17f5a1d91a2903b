"""Tables of pandas, where it is installed."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

pytest.importorskip("pandas")


import numpy as np
import pandas as pd
from markup import markup_of

from store.web.values import brief, whole


def test_frame_is_a_table() -> None:
    frame = pd.DataFrame({"a": [1, 2], "<b>": ["<i>", None], "t": pd.to_datetime(["2020-01-01", None]), "c": pd.Categorical(["u", "v"])})
    found = markup_of(whole(frame))
    assert found.text.startswith("DataFrame, 2 rows × 4 columns") and "a int64<b>" in found.text
    assert "2020-01-01 00:00:00" in found.text and "NaT" in found.text and "'<i>'" in found.text
    assert found.names().count("tr") == 3
    assert markup_of(brief(frame)).text == "DataFrame, 2 rows × 4 columns"


def test_large_frame_is_cut_and_counted() -> None:
    frame = pd.DataFrame({f"c{at}": range(5_000) for at in range(60)})
    found = markup_of(whole(frame))
    assert found.names().count("tr") == 51 and found.names().count("th") == 21
    assert found.text.endswith("4,950 more rows and 40 more columns not shown")


VALUES: list[tuple[Any, str]] = [
    (pd.Series([1.5, 2.0], name="q", index=[2.5, 0.5]), "Series, 2 rowsq float642.51.50.52.0"),
    (pd.Index(["a", "b"]), "Index, 2 rows"),
    (pd.RangeIndex(1_000_000), "RangeIndex, 1,000,000 rows"),
    (pd.date_range("2020-01-01", periods=2), "DatetimeIndex, 2 rows"),
    (pd.DataFrame(), "DataFrame, 0 rows × 0 columns"),
    (pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([("x", 1)])), "DataFrame, 1 rows × 1 columnsa int64('x', 1)1"),
    (pd.DataFrame([[1, 2]], columns=["a", "a"]), "DataFrame, 1 rows × 2 columnsa int64a int64012"),
    (pd.Timestamp("2020-01-01"), "2020-01-01 00:00:00"), (pd.NaT, "NaT"), (pd.NA, "<NA>"), (pd.Interval(0, 1), "(0, 1]"),
    (pd.Series([{"a": 1}, [2]]), "Series, 2 rows0 object0{'a': 1}1[2]"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "shown"), VALUES, ids=[shown[:20] for _, shown in VALUES])
def test_other_values_of_pandas(value: Any, shown: str) -> None:
    assert markup_of(whole(value)).text.startswith(shown)
    assert "cannot be shown" not in markup_of(brief(value)).text + markup_of(whole([value])).text


def test_subclass_runs_no_code() -> None:
    class Loud(pd.DataFrame):  # type: ignore[misc]
        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError(name)

    value = pd.DataFrame({"a": [1]})
    value.__class__ = Loud
    for show in (whole, brief):
        assert "cannot be shown" not in markup_of(show(value)).text


def test_columns_of_other_libraries_are_not_asked() -> None:
    class Mine(pd.api.extensions.ExtensionDtype):  # type: ignore[misc]
        name = "mine"
        type = int

        @classmethod
        def construct_array_type(cls) -> Any:
            return Array

    class Array(pd.api.extensions.ExtensionArray):  # type: ignore[misc]
        dtype = Mine()
        nbytes = 8

        def __len__(self) -> int:
            return 2

        def __getitem__(self, item: Any) -> Any:
            raise RuntimeError

        def copy(self) -> Any:
            return self

    found = markup_of(whole(pd.DataFrame({"a": pd.Series(Array(), copy=False)})))
    assert found.text == "DataFrame, 2 rows × 1 columnsits columns have types of other libraries"


class Zone(dt.tzinfo):
    """A time zone of the program."""

    ran: list[str] = []

    def utcoffset(self, when: Any) -> dt.timedelta:
        self.ran.append("utcoffset")
        return dt.timedelta(0)

    dst = utcoffset

    def tzname(self, when: Any) -> str:
        self.ran.append("tzname")
        return "zone"

    def __str__(self) -> str:
        self.ran.append("str")
        return "zone"

    __repr__ = __str__


class Held:
    """An object that frames hold beside their cells."""

    def __deepcopy__(self, _: Any) -> Any:
        Zone.ran.append("deepcopy")
        return self

    def __repr__(self) -> str:
        Zone.ran.append("repr")
        return "held"

    def __getattr__(self, name: str) -> Any:
        Zone.ran.append(name)
        raise AttributeError(name)


class Number(float):
    def __format__(self, _: str) -> str:
        Zone.ran.append("format")
        return "number"

    __str__ = __repr__ = lambda self: self.__format__("")


def frames() -> dict[str, Any]:
    """What runs code of the program where it is asked for its text, its elements or a copy."""
    with_attrs, series = pd.DataFrame({"a": [1, 2]}), pd.Series([1, 2])
    with_attrs.attrs["x"] = series.attrs["x"] = Held()
    zoned = pd.DatetimeIndex(["2020-01-01", "2020-01-02", "2020-01-03"], tz=Zone())
    sparse = pd.arrays.SparseArray(np.array([1.0, 2.0]), dtype=pd.SparseDtype(float, fill_value=Number(1)))
    return {
        "attrs": with_attrs, "attrs of a series": series, "name of an index": pd.Index([1, 2], name=Held()), "zone": zoned,
        "zone of a column": pd.DataFrame({"a": zoned}), "zone of an index": pd.DataFrame({"a": [1, 2, 3]}, index=zoned),
        "zone of columns": pd.DataFrame([[1, 2, 3]], columns=zoned),
        "zone of a level": pd.DataFrame({"a": [1, 2, 3]}, index=pd.MultiIndex.from_arrays([[1, 2, 3], zoned])),
        "zone of intervals": pd.DataFrame({"a": pd.arrays.IntervalArray.from_breaks(zoned)}), "fill value": pd.DataFrame({"a": sparse}),
        "zone of categories": pd.DataFrame({"a": pd.Categorical(zoned)}), "ends of an interval": pd.Interval(Number(1), Number(2)),
    }  # fmt: skip


@pytest.mark.parametrize("name", frames())
def test_no_code_of_what_a_frame_holds_runs(name: str) -> None:
    value = frames()[name]
    Zone.ran.clear()
    for shown in (value, [value], [{"a": value}, {"a": value}]):
        assert "cannot be shown" not in whole(shown) + brief(shown)
    assert Zone.ran == []
    repr(value.copy() if "attrs" in name else value.dtypes.tolist() if name == "fill value" else value)
    assert Zone.ran != []


def test_columns_with_zones_of_libraries_are_shown() -> None:
    zoned = pd.DataFrame({"a": pd.DatetimeIndex(["2020-01-01"], tz="Europe/Paris")})
    assert "2020-01-01 00:00:00+01:00" in markup_of(whole(zoned)).text
    assert "[1, 2)" in markup_of(whole(pd.Interval(1, 2, closed="left"))).text
