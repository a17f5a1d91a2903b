"""Values as a tree that folds (`<details>`), which needs no script. Its parts share one allowance (`Bounds`)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

from store.display.html import Html, element, joined
from store.display.units import size_text
from store.web.values.bounds import Bounds
from store.web.values.bytestrings import bytes_html
from store.web.values.class_names import full_name, is_a, short_name
from store.web.values.frames import frame_html, frame_title, is_frame
from store.web.values.lines import byte_count, is_bytes, line_of
from store.web.values.parts import Key, Part, Parts, parts_of
from store.web.values.scalars import Scalar, scalar_of
from store.web.values.tables import columns_of, dict_table

MOST_PARTS = 100  # of one container
MOST_TEXT = 10_000  # characters of one text
SHORT_TEXT = 100
TABLE_CHARACTERS = 2_000  # that a table or an array takes from the allowance
OPEN_PARTS = 8  # a container with as few is open from the beginning, below the first level


def tree(value: Any, bounds: Bounds) -> Html:
    """A value as a page shows it, as far as the bounds reach."""
    return _node(value, bounds, (), None)


def _node(value: Any, bounds: Bounds, inside: tuple[int, ...], key: Key | None) -> Html:
    scalar = scalar_of(value, SHORT_TEXT)
    if scalar is not None:
        return _leaf(value, scalar, bounds, key)
    if id(value) in inside:
        return _line(key, element("span", "the same object as above", class_="more"))
    if len(inside) >= bounds.deep:
        bounds.take_characters(SHORT_TEXT)
        return _line(key, element("code", line_of(value)))
    whole = _whole(value, bounds)
    if whole is not None:
        name, content = whole
        return content if key is None else _folded(_summary(key, name, None), content, is_open=False)
    found = parts_of(value)
    if found is None:
        return _line(key, element("code", f"<{full_name(type(value))} object>", class_="name"))
    if not found.number:
        return _line(key, element("code", line_of(value)))
    return _container(value, found, bounds, inside, key)


def _leaf(value: Any, scalar: Scalar, bounds: Bounds, key: Key | None) -> Html:
    """A value without parts. A long text, or one of several lines, folds."""
    if not is_a(value, str) or scalar.kind != "text" or not _is_long(value):
        bounds.take_characters(len(scalar.text))
        return _line(key, element("code", scalar.text, class_=scalar.kind))
    length = str.__len__(value)
    shown = str.__getitem__(value, slice(0, bounds.take_characters(MOST_TEXT)))
    more = f"\n… {length - len(shown):,} more characters" if length > len(shown) else ""
    content = element("pre", shown, element("span", more, class_="more") if more else None, class_="text", tabindex=0)
    if key is None:
        return content
    return _folded(_summary(key, f"{length:,} characters", line_of(value, 60)), content, is_open=False)


def _is_long(value: str) -> bool:
    return str.__len__(value) > SHORT_TEXT or "\n" in str.__getitem__(value, slice(0, SHORT_TEXT))


def _whole(value: Any, bounds: Bounds) -> tuple[str, Html] | None:
    """Title and content of bytes, arrays and tables, which are shown as one; None for anything else."""
    if is_bytes(value):
        return f"{short_name(type(value))}, {size_text(byte_count(value))}", bytes_html(value, bounds)
    if is_frame(value):
        bounds.take_characters(TABLE_CHARACTERS)
        return frame_title(value), frame_html(value)
    if "numpy" in sys.modules:  # else no value is an array
        from store.web.values.arrays import array_html, is_array, title_of

        if is_array(value):
            bounds.take_characters(TABLE_CHARACTERS)
            return title_of(value), array_html(value)
    columns = columns_of(value)
    if columns is None:
        return None
    bounds.take_characters(TABLE_CHARACTERS)
    return f"{short_name(type(value))}, {len(value):,} rows", dict_table(value, columns)


def _container(value: Any, found: Parts, bounds: Bounds, inside: tuple[int, ...], key: Key | None) -> Html:
    summary = _summary(
        key, f"{short_name(type(value))}, {found.number:,} {found.called(found.number)}", line_of(value, 60)
    )
    bounds.take_characters(SHORT_TEXT)
    rows = list(_rows(found, bounds, (*inside, id(value))))
    left = found.number - len(rows)
    more = element("li", f"… {left:,} more {found.called(left)}", class_="more") if left > 0 else None
    is_open = not inside or (len(inside) < 3 and found.number <= OPEN_PARTS)
    return _folded(summary, element("ul", joined(rows), more, class_="tree"), is_open=is_open)


def _rows(found: Parts, bounds: Bounds, inside: tuple[int, ...]) -> Iterator[Html]:
    parts: Iterator[Part] = islice(found.parts, MOST_PARTS)
    for key, part in parts:
        if not bounds.take_item():
            return
        yield element("li", _node(part, bounds, inside, key))


def _folded(summary: Html, content: Html, *, is_open: bool) -> Html:
    return element("details", summary, content, open=is_open)


def _summary(key: Key | None, what: str, preview: str | None) -> Html:
    shown = None if preview is None else element("code", preview, class_="preview")
    return element("summary", _key(key), element("span", what, class_="type"), " ", shown)


def _line(key: Key | None, content: Html) -> Html:
    return content if key is None else joined([_key(key), content])


def _key(key: Key | None) -> Html | None:
    if key is None or not key.how:
        return None
    shown = line_of(key.content, 60) if key.how != "name" else key.content[:60]
    return joined([element("code", shown, class_=key.how), ": "])
