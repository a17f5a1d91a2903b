"""Bytes: an image where they are one, else as hexadecimal digits beside the text in them."""

from __future__ import annotations

from typing import Any

from store.display.html import Html, element
from store.display.units import size_text
from store.web.values.bounds import MOST_IMAGE_BYTES, Bounds
from store.web.values.images import Picture, picture_of, thumbnail
from store.web.values.lines import beginning, byte_count, line_of

MOST_BYTES = 512  # of a dump
_ROW = 16
WHOLE_SIDE = 480
BRIEF_SIDE, BRIEF_PIXELS, BRIEF_BYTES = 48, 1_024 * 1_024, 64 * 1024  # a page may have 50 of them


def bytes_html(value: Any, bounds: Bounds) -> Html:
    """Bytes as a page shows them."""
    picture = _picture(value)
    size = byte_count(value)
    title = f"{size_text(size)} of bytes" if picture is None else f"{picture.title}, {size_text(size)}"
    problem = None if picture is None else _problem(picture, size, bounds)
    if picture is not None and problem is None:
        return element("figure", thumbnail(beginning(value, size), picture, WHOLE_SIDE), element("figcaption", title))
    note = element("p", problem, class_="more") if problem is not None else None
    return element("div", element("p", title), note, dump(value, bounds))


def brief_bytes(value: Any) -> Html:
    """Bytes in a cell: a small image, or the beginning as Python writes it."""
    size = byte_count(value)
    picture = _picture(value) if size <= BRIEF_BYTES else None
    if picture is not None and picture.problem is None and picture.width * picture.height <= BRIEF_PIXELS:
        return thumbnail(beginning(value, size), picture, BRIEF_SIDE)
    return element("code", line_of(value), class_="bytes")


def dump(value: Any, bounds: Bounds) -> Html:
    """The first bytes in rows of 16: the offset, the digits, and the text in ASCII."""
    size = byte_count(value)
    shown = beginning(value, bounds.take_characters(4 * MOST_BYTES) // 4)
    rows = [_row(shown, at) for at in range(0, len(shown), _ROW)]
    more = f"\n… {size - len(shown):,} more bytes" if size > len(shown) else ""
    return element("pre", "\n".join(rows) + more, class_="bytes", tabindex=0)


def _row(content: bytes, at: int) -> str:
    row = content[at : at + _ROW]
    letters = "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in row)
    return f"{at:08x}  {row.hex(' '):<{3 * _ROW}} {letters}"


def _picture(value: Any) -> Picture | None:
    # All of an image that may be sent: its scans, and its largest frame, may be at its end.
    return picture_of(beginning(value, MOST_IMAGE_BYTES)) if byte_count(value) else None


def _problem(picture: Picture, size: int, bounds: Bounds) -> str | None:
    if picture.problem is not None:
        return f"not shown as an image: {picture.problem}"
    is_taken = bounds.take_image(size, picture.width * picture.height)
    return None if is_taken else "not shown as an image: too many bytes or pixels for one page"
