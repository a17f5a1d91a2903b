"""Tables of pandas, where it is installed."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("pandas")

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
