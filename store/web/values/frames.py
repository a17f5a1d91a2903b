"""Tables of pandas: the first rows and columns. pandas is never imported; without it there is no such value."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from store.display.html import Html, element
from store.web.values.class_names import module_of
from store.web.values.tables import MOST_COLUMNS, MOST_ROWS, heading, rows_table, what_is_left_out

_LIBRARIES = ("pandas.", "numpy.")
_ZONES = ("datetime.", "zoneinfo.", "pytz.", "dateutil.")


def is_frame(value: Any) -> bool:
    """Whether a value is a DataFrame, Series or Index. Subclasses are not: their methods are code of the program."""
    pandas = sys.modules.get("pandas")
    known = (getattr(pandas, name, None) for name in ("DataFrame", "Series", "Index", "RangeIndex", "DatetimeIndex"))
    return pandas is not None and any(type(value) is cls for cls in known if cls is not None)


def frame_title(value: Any) -> str:
    """The class and the size: `DataFrame, 100 rows × 4 columns`."""
    columns = f" × {value.shape[1]:,} columns" if len(value.shape) == 2 else ""
    return f"{type(value).__name__}, {len(value):,} rows{columns}"


def frame_html(value: Any) -> Html:
    """The first rows and columns as a table, with the type of each column."""
    title = element("p", frame_title(value))
    if not _is_plain(value):
        return element("div", title, element("p", "its columns have types of other libraries", class_="more"))
    if _is_index(value):
        headings, labels, columns = _one_column(value[:MOST_ROWS], range(min(MOST_ROWS, len(value))))
    else:
        rows = type(value)(value).iloc[:MOST_ROWS]  # without `attrs`, whose own code would copy them
        if len(value.shape) == 1:
            headings, labels, columns = _one_column(rows, rows.index.tolist())
        else:
            shown = rows.iloc[:, :MOST_COLUMNS]
            headings = [heading(name, str(dtype)) for name, dtype in zip(shown.columns, shown.dtypes, strict=True)]
            labels, columns = shown.index.tolist(), [shown.iloc[:, at].tolist() for at in range(len(headings))]
    left_out = what_is_left_out(*value.shape[:2], *[1] * (2 - len(value.shape)))
    return element("div", title, rows_table(["", *headings], zip(labels, *columns, strict=True), left_out))


def _one_column(rows: Any, labels: Sequence[Any]) -> tuple[list[Html], Sequence[Any], list[list[Any]]]:
    """Heading, labels and column of a Series or an Index."""
    return [heading(0 if rows.name is None else rows.name, str(rows.dtype))], labels, [rows.tolist()]


def _is_index(value: Any) -> bool:
    return not hasattr(value, "iloc")


def _is_plain(value: Any) -> bool:
    """Whether the types of columns and indexes are those of pandas and NumPy, which run no other code."""
    types = value.dtypes.tolist() if len(value.shape) == 2 else [value.dtype]
    for index in () if _is_index(value) else (value.index, getattr(value, "columns", None)):
        parts = getattr(index, "levels", None)
        types += [index.dtype] if index is not None and parts is None else [part.dtype for part in parts or ()]
    return all(map(_is_known, types))


def _is_known(dtype: Any) -> bool:
    """Whether a type of columns, and what it holds, is of these libraries: its text and its elements ask both."""
    if not f"{module_of(type(dtype))}.".startswith(_LIBRARIES):
        return False
    kind = type(dtype).__name__
    if kind == "DatetimeTZDtype":
        return f"{module_of(type(dtype.tz))}.".startswith(_ZONES)
    if kind == "SparseDtype":
        return f"{module_of(type(dtype.fill_value))}.".startswith((*_LIBRARIES, "builtins."))
    if kind == "IntervalDtype":
        return dtype.subtype is None or _is_known(dtype.subtype)
    return kind != "CategoricalDtype" or dtype.categories is None or _is_known(dtype.categories.dtype)
