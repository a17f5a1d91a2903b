"""Tables of pandas: the first rows and columns. pandas is never imported; without it there is no such value."""

from __future__ import annotations

import sys
from typing import Any

from store.display.html import Html, element
from store.web.values.class_names import module_of
from store.web.values.tables import MOST_COLUMNS, MOST_ROWS, heading, rows_table, what_is_left_out

_LIBRARIES = ("pandas.", "numpy")


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
    is_index = not hasattr(value, "iloc")
    rows = value[:MOST_ROWS] if is_index else value.iloc[:MOST_ROWS]
    shown = (rows if len(value.shape) == 2 else rows.to_frame()).iloc[:, :MOST_COLUMNS]
    headings = [heading(name, str(dtype)) for name, dtype in zip(shown.columns, shown.dtypes, strict=True)]
    columns = [shown.iloc[:, at].tolist() for at in range(len(headings))]
    labels = range(len(shown)) if is_index else shown.index.tolist()
    left_out = what_is_left_out(*value.shape[:2], *[1] * (2 - len(value.shape)))
    return element("div", title, rows_table(["", *headings], zip(labels, *columns, strict=True), left_out))


def _is_plain(value: Any) -> bool:
    """Whether the types of columns and index are those of pandas and NumPy, which run no code of other libraries."""
    types = value.dtypes.tolist() if len(value.shape) == 2 else [value.dtype]
    types.append(getattr(getattr(value, "index", None), "dtype", None))
    return all(one is None or f"{module_of(type(one))}.".startswith(_LIBRARIES) for one in types)
