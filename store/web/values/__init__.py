"""Values as HTML, bounded in size and time. No code of their classes is called: neither `repr` nor properties."""

from __future__ import annotations

import sys
from typing import Any

from store.classes.shown import described
from store.display.html import Html, element
from store.web.values.badges import badge as badge
from store.web.values.bounds import Bounds
from store.web.values.bytestrings import brief_bytes
from store.web.values.frames import frame_title, is_frame
from store.web.values.lines import is_bytes, line_of
from store.web.values.scalars import scalar_of
from store.web.values.times import countdown as countdown
from store.web.values.times import moment as moment
from store.web.values.tree import tree


def whole(value: Any, bounds: Bounds | None = None) -> Html:
    """A value as a page shows it: a tree, a table, a picture, or text."""
    try:
        content = tree(value, bounds or Bounds())
    except Exception as exc:  # of a library that meets content it cannot take
        content = _problem(exc)
    return element("div", content, class_="value")


def brief(value: Any) -> Html:
    """A value as a cell of a table shows it, in one line."""
    try:
        content = _brief(value)
    except Exception as exc:  # as above: the other cells of the page are shown all the same
        content = _problem(exc)
    return element("span", content, class_="value")


def _brief(value: Any) -> Html:
    if is_bytes(value):
        return brief_bytes(value)
    if is_frame(value):
        return element("span", frame_title(value), class_="type")
    if "numpy" in sys.modules:  # else no value is an array
        from store.web.values.arrays import brief_array, is_array

        if is_array(value):
            return brief_array(value)
    scalar = scalar_of(value, 0)
    return element("code", line_of(value), class_=None if scalar is None else scalar.kind)


def _problem(error: Exception) -> Html:
    return element("span", f"This value cannot be shown: {described(error)}", class_="more")
