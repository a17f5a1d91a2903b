"""The dtype of an array as plain data, and back: every part of a description is checked before NumPy gets it.

A plain dtype is a str: byte order, kind and size in bytes (characters for U), as in `dtype.str`, and the unit of a
date or time. A suffix after a colon removes ambiguity: the bits of the mantissa for floats of more than 8 bytes, else
which of two C types of one size it is (`<i8:longlong`). A subarray is a base and a shape, a structured dtype the list
of its fields. Descriptions are on disk: the format may not change.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

_Rows = np.ndarray[Any, np.dtype[np.uint8]]

MAX_FIELDS = 10_000
MAX_DEPTH = 16  # of dtypes in dtypes
MAX_ITEM = 2**31 - 1  # bytes of one element: the limit of NumPy 1
MAX_EMPTY = 1000  # values without bytes in one element, at all levels: nothing else bounds their number
MAX_DIMENSIONS = 32 if np.__version__.startswith("1.") else 64  # dimensions of fields are added to those of the array

_TEXT = re.compile(
    r"(?P<dtype>[<>|](?:(?P<kind>[biufcSUV])(?P<size>[0-9]{1,10})"
    r"|[mM]8(?:\[(?:[1-9][0-9]{0,9})?(?:Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?))(?::(?P<more>\w{1,20}))?"
)
_C_TYPES = {np.dtype(char).num: name for char, name in zip("iIlLqQdDgG", (
    "intc", "uintc", "long", "ulong", "longlong", "ulonglong", "double", "cdouble", "longdouble", "clongdouble",
), strict=True)}  # fmt: skip
_CHARS = dict(zip(_C_TYPES.values(), "iIlLqQdDgG", strict=True))


# -- describing


def describe(dtype: np.dtype[Any]) -> Any:
    """The dtype as str, lists and dicts. Raises: ValueError: it cannot be described; the message says why."""
    if dtype.metadata:
        raise ValueError(f"its dtype {dtype} has metadata")
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return {"base": describe(base), "shape": list(shape)}
    if dtype.names is None:
        return _text_of(dtype)
    if dtype.type not in (np.void, np.record):
        raise ValueError(f"it has a structured dtype of type {dtype.type.__qualname__}")
    return {
        "fields": [_field_of(name, *_fields(dtype)[name]) for name in dtype.names],
        "size": dtype.itemsize, "aligned": dtype.isalignedstruct, "record": dtype.type is np.record,
    }  # fmt: skip


def _fields(dtype: np.dtype[Any]) -> Mapping[str, Any]:
    return {} if dtype.fields is None else dtype.fields


def _field_of(name: str, dtype: np.dtype[Any], offset: int, title: Any = None) -> list[Any]:
    if title is not None and type(title) is not str:
        raise ValueError(f"the title of the field {name!r} is not a str")
    return [name, title, offset, describe(dtype)]


def _text_of(dtype: np.dtype[Any]) -> str:
    if dtype.kind not in "biufcmMSUV":
        hint = '; convert it with .astype("U")' if dtype.kind == "T" else ""
        raise ValueError(f"it has elements of the dtype {dtype}{hint}")
    text, plain = dtype.str, np.dtype(dtype.str)
    if dtype.type is not plain.type and (dtype.kind not in "iufc" or dtype.num not in _C_TYPES):
        raise ValueError(f"it has elements of the dtype {dtype}, which is not one of NumPy's own")
    if _is_long(dtype):
        return f"{text}:{np.finfo(dtype).nmant}"
    return text if dtype.num == plain.num else f"{text}:{_C_TYPES[dtype.num]}"


def _is_long(dtype: np.dtype[Any]) -> bool:
    return dtype.itemsize > {"f": 8, "c": 16}.get(dtype.kind, MAX_ITEM)


# -- building


def build(description: Any, dimensions: int = 0) -> np.dtype[Any]:
    """The dtype of an array with that many dimensions. Raises: ValueError, TypeError: the description is invalid."""
    return _Builder().build(description, 0, dimensions)


class _Builder:
    """Counts the fields of one description."""

    def __init__(self) -> None:
        self._fields = 0

    def build(self, description: Any, depth: int, dimensions: int) -> np.dtype[Any]:
        if depth > MAX_DEPTH or dimensions > MAX_DIMENSIONS:
            raise ValueError(f"it has more than {MAX_DEPTH} dtypes in one another, or {MAX_DIMENSIONS} dimensions")
        if type(description) is str:
            return _of_text(description)
        keys = set(description) if type(description) is dict else set()
        if keys == {"base", "shape"}:
            return self._subarray(description["base"], description["shape"], depth, dimensions)
        if keys == {"fields", "size", "aligned", "record"}:
            return self._structured(description, depth, dimensions)
        raise ValueError("a dtype in it is described by something else")

    def _subarray(self, base: Any, shape: Any, depth: int, dimensions: int) -> np.dtype[Any]:
        check_shape(shape)
        inner = self.build(base, depth + 1, dimensions + len(shape))
        size = math.prod(shape) * inner.itemsize
        if size > MAX_ITEM or not shape:
            raise ValueError("the shape of a subarray in it cannot be")
        if (not size and extent(shape, inner.itemsize) > MAX_EMPTY) or math.prod(shape) * empties(inner) > MAX_EMPTY:
            raise ValueError(f"it has a subarray of more than {MAX_EMPTY} elements that take no bytes")
        return np.dtype((inner, tuple(shape)))

    def _structured(self, description: dict[str, Any], depth: int, dimensions: int) -> np.dtype[Any]:
        fields, size = description["fields"], description["size"]
        aligned, record = description["aligned"], description["record"]
        if type(fields) is not list or not is_index(size, MAX_ITEM) or {type(aligned), type(record)} != {bool}:
            raise ValueError("a structured dtype in it is described by something else")
        if aligned and not fields:  # NumPy 1 sets its alignment to 0, divides by it, and crashes
            raise ValueError("it has a structured dtype that is aligned and has no fields")
        self._fields += len(fields)
        if self._fields > MAX_FIELDS:
            raise ValueError(f"it has more than {MAX_FIELDS} fields")
        parts = [self._field(field, size, depth, dimensions) for field in fields]
        names, titles, offsets, formats = ([part[index] for part in parts] for index in range(4))
        layout = {"names": names, "formats": formats, "offsets": offsets, "itemsize": size}
        if any(title is not None for title in titles):
            layout["titles"] = titles
        made: np.dtype[Any] = np.dtype(layout, align=aligned)  # type: ignore[call-overload]
        if made.itemsize != size or made.isalignedstruct is not aligned:
            raise ValueError("the size of a structured dtype in it cannot be")
        return np.dtype((np.record, made)) if record else made

    def _field(self, field: Any, size: int, depth: int, dimensions: int) -> tuple[str, str | None, int, Any]:
        if type(field) is not list or len(field) != 4:
            raise ValueError("a field in it is described by something else")
        name, title, offset, description = field
        if type(name) is not str or (title is not None and type(title) is not str) or not is_index(offset, size):
            raise ValueError("a field in it is described by something else")
        inner = self.build(description, depth + 1, dimensions)
        if offset + inner.itemsize > size:
            raise ValueError(f"the field {name[:80]!r} is not inside its element")
        return name, title, offset, inner


def _of_text(text: str) -> np.dtype[Any]:
    found = _TEXT.fullmatch(text)
    if found is None or int(found["size"] or 8) > MAX_ITEM // (4 if found["kind"] == "U" else 1):
        raise ValueError(f"{text[:80]!r} is not a dtype")
    try:
        made = np.dtype(found["dtype"])
    except TypeError:
        raise ValueError(f"this platform has no numbers like {text!r}; read it where it was written") from None
    if made.str != found["dtype"]:
        raise ValueError(f"{text[:80]!r} is not a dtype as this codec writes it")
    if _is_long(made):
        if found["more"] != str(np.finfo(made).nmant):
            raise ValueError(f"this platform's floats of {made.itemsize} bytes are not like {text!r}")
        return made
    return made if found["more"] is None else _of_c_type(found["more"], made)


def _of_c_type(name: str, plain: np.dtype[Any]) -> np.dtype[Any]:
    """The named C type if it has the written size here, else a type of the same kind and size."""
    if name not in _CHARS or np.dtype(_CHARS[name]).kind != plain.kind:
        raise ValueError(f"{name!r} is not a C type for {plain.str}")
    made = np.dtype(_CHARS[name])
    return made.newbyteorder(plain.byteorder) if made.itemsize == plain.itemsize else plain


def is_index(number: Any, most: int) -> bool:
    return type(number) is int and 0 <= number <= most


def check_shape(shape: Any) -> None:
    """Raises: ValueError: it is not a shape."""
    if type(shape) is not list or len(shape) > MAX_DIMENSIONS or not all(is_index(n, 2**63 - 1) for n in shape):
        raise ValueError("a shape in it cannot be")


def extent(shape: Any, itemsize: int) -> int:
    """The bytes that an array would take if none of its sizes were 0."""
    sizes: list[int] = [size or 1 for size in shape]
    return math.prod(sizes) * (itemsize or 1)


def empties(dtype: np.dtype[Any]) -> int:
    """How many values without bytes one element holds, at all levels; subarrays of these multiply."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return math.prod(shape) * empties(base)
    return (not dtype.itemsize) + sum(empties(_fields(dtype)[name][0]) for name in dtype.names or ())


def values_in(dtype: np.dtype[Any]) -> int:
    """How many values one element has, at all levels: what showing it in full takes."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return math.prod(shape) * values_in(base)
    return max(1, sum(values_in(_fields(dtype)[name][0]) for name in dtype.names or ()))


# -- checking foreign arrays


def check_layout(dtype: np.dtype[Any]) -> None:
    """Raises: ValueError: two fields overlap, so that bytes would be checked repeatedly."""
    if dtype.subdtype is not None:
        check_layout(dtype.subdtype[0])
    fields = [_fields(dtype)[name] for name in dtype.names or ()]
    end = 0
    for offset, size, inner in sorted((field[1], field[0].itemsize, n) for n, field in enumerate(fields)):
        if size and offset < end:
            raise ValueError("fields of it overlap")
        end = max(end, offset + size)
        check_layout(fields[inner][0])


def leaves(rows: _Rows, dtype: np.dtype[Any]) -> Iterator[tuple[_Rows, np.dtype[Any]]]:
    """The leaf dtypes of the elements, with the bytes of each. `rows`: as for `check_content`."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        yield from leaves(rows.reshape(*rows.shape[:-1], math.prod(shape), base.itemsize), base)
    elif dtype.names is None:
        yield rows, dtype
    for name in dtype.names or ():
        inner, offset = _fields(dtype)[name][:2]
        yield from leaves(rows[..., offset : offset + inner.itemsize], inner)


def check_content(rows: _Rows, dtype: np.dtype[Any]) -> None:
    """Check the bytes of elements: `rows` has one element along the last axis, which is contiguous.

    Raises: ValueError: a bool is neither 0 nor 1, or a character is not one. Code that relies on them would crash.
    """
    for part, leaf in leaves(rows, dtype):
        if leaf.kind == "b" and part.max(initial=0) > 1:
            raise ValueError("a bool in it is neither 0 nor 1")
        if leaf.kind == "U" and part.size:
            characters = part.view(np.dtype("u4").newbyteorder(leaf.byteorder))
            if characters.max() > 0x10FFFF:
                raise ValueError("a character in it is beyond Unicode")
