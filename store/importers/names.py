"""The names that records get in a store: a name is text, and keys of other programs may be anything."""

from __future__ import annotations

from typing import Any

from store.classes.size import too_large

_SCALARS = (int, float, bool, type(None), str, bytes)


def name_of(key: Any) -> str:
    r"""The name for a key.

    Text stays as it is. Bytes are decoded as UTF-8, other bytes become `\xff`. Numbers, True, False and None are
    written as Python writes them (1 is "1"), and so are tuples of all these: ('a', 1) is "('a', 1)".

    Raises:
        ValueError: the key is something else, or text that no store holds.
    """
    if type(key) is str:
        return _checked(key)
    if type(key) is bytes:
        return _checked(key.decode("utf-8", "backslashreplace"))
    if not too_large(key) and _is_plain(key):
        return _checked(repr(key))
    raise ValueError(
        f"its key is a {type(key).__qualname__}, and names are text: only numbers, bytes and tuples become such"
    )


def _is_plain(key: Any) -> bool:
    """Whether a key is a scalar of Python's own, or a tuple of such: its `repr` runs no code of the source."""
    if type(key) is tuple:
        return all(map(_is_plain, key))
    return type(key) in _SCALARS


def as_text(data: bytes) -> str | bytes:
    """Text where the bytes are UTF-8: for sources in which text is bytes."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def why_named_so(key: Any, table: str) -> str:
    """Where a record has another name than its key in the source; else empty."""
    if table:
        return f"its key was {key!r:.200}, in the table {table!r:.100}"
    return "" if type(key) is str else f"its key was {key!r:.200}"


def as_shown(key: Any) -> str:
    """A name for a key in reports, also of one that cannot become a name."""
    try:
        return name_of(key)
    except ValueError:
        return ascii(key)[1:-1] if type(key) is str else f"<{type(key).__qualname__}>"


def _checked(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError as exc:
        raise ValueError(f"its key {name!r:.80} has half of a surrogate pair, which no store can hold") from exc
    if "\0" in name:
        raise ValueError(f"its key {name!r:.80} has a NUL, which no name may contain")
    return name
