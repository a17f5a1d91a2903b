"""Builds the dtypes in foreign records from their pickled state, without `dtype.__setstate__`.

Given a field outside of its element, or an object field that claims to be plain, `__setstate__` makes dtypes that
crash the interpreter. Here a state becomes a description (see `codecs/numpy/dtype.py`), and the dtype built from that
is compared with the size, alignment and flags in the state.

The states are those of NumPy 1 and 2: `dtype.__reduce__`, in NumPy's sources array_descr_setstate in descriptor.c.
"""

from __future__ import annotations

import re
import sys
from typing import Any, NamedTuple

import numpy as np

from store.codecs.numpy import dtype as numpy_dtype
from store.codecs.refusals import does_not_fit, refused, too_much
from store.codecs.restricted.limits import Budget
from store.errors import Corrupt

MAX_DEPTH = 8  # of dtypes in dtypes
MAX_DIMENSIONS = 32  # limit of NumPy 1; dimensions of fields are added to those of the array
FIELD_COST = 400  # charged for a field: describing, building and checking it takes about 4 us

LONG = np.dtype("g")
NATIVE = "<" if sys.byteorder == "little" else ">"
_X87_BITS = 63
_SIZES = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8), "c": (8, 16), "m": (8,), "M": (8,)}
_UNITS = ("generic", "Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as")
_KIND = re.compile(r"(?P<letter>[A-Za-z])(?P<size>[0-9]{1,10})", re.ASCII)
_ALIGNED = 0x80
_SAME_FLAGS = _ALIGNED | 0x07  # flags that NumPy sets differently in its versions: objects, kept as a list, pointers


class Plain(NamedTuple):
    """The description of a dtype; the number of its fields at all levels, levels, and dimensions of subarrays."""

    description: Any
    fields: int = 1
    depth: int = 1
    dimensions: int = 0


class State(NamedTuple):
    """The state of a dtype in a pickle."""

    order: Any
    subarray: Any
    names: Any
    fields: Any
    size: int
    alignment: int
    flags: int
    metadata: Any


class Dtypes:
    """Builds and remembers the dtypes of one decode: only these may be used in arrays and other dtypes."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._known: dict[int, tuple[np.dtype[Any], Plain]] = {}  # by id; keeping the dtype prevents reuse of its id

    def known(self, dtype: Any) -> Plain:
        """The description of a dtype that was built here. Raises: Corrupt: it was not."""
        found = self._known.get(id(dtype))
        if found is None:
            raise does_not_fit("an array")
        return found[1]

    def build(self, kind: Any, state: Any) -> np.dtype[Any]:
        """The dtype called `kind` ("f8", say, or `numpy.record`) with that state. Raises: Untrusted, Corrupt."""
        read = _read(state)
        found = self._of(kind, read)
        if found.depth > MAX_DEPTH or found.fields > numpy_dtype.MAX_FIELDS or found.dimensions > MAX_DIMENSIONS:
            raise too_much(f"it has a dtype of more than {numpy_dtype.MAX_FIELDS} fields, or {MAX_DEPTH} levels")
        self._budget.charge(1000 + FIELD_COST * found.fields)
        try:
            made = numpy_dtype.build(found.description)
            numpy_dtype.check_layout(made)
        except (ValueError, TypeError, OverflowError):  # their messages quote the description
            raise does_not_fit("a dtype") from None
        _compare(made, read)
        self._known[id(made)] = made, found
        if found.fields > 1:
            self._budget.weigh_as(made, found.fields)
        return made

    def _of(self, kind: Any, state: State) -> Plain:
        if kind is np.record:
            return self._structured(state, is_record=True)
        letter, size = split(kind)
        if letter == "V" and size == state.size and state.order == "|":
            if state.subarray is not None:
                return self._subarray(state)
            if state.names is not None:
                return self._structured(state, is_record=False)
        if not state[1:4] == (None, None, None):
            raise does_not_fit("a dtype")
        return Plain(_simple(letter, size, state))

    def _subarray(self, state: State) -> Plain:
        if state.names is not None or state.fields is not None or not _is_tuple(state.subarray, 2):
            raise does_not_fit("a dtype")
        base, shape = state.subarray
        inner = self.known(base)
        if type(shape) is not tuple:
            raise does_not_fit("a dtype")
        return Plain(
            {"base": inner.description, "shape": list(shape)},
            inner.fields, inner.depth + 1, inner.dimensions + len(shape),
        )  # fmt: skip

    def _structured(self, state: State, *, is_record: bool) -> Plain:
        names, fields = state.names, state.fields
        if state.subarray is not None or type(names) is not tuple or type(fields) is not dict:
            raise does_not_fit("a dtype")
        self._budget.charge(100 * len(names))
        parts = [self._field(name, fields) for name in names]
        titles = {title for _, title, _, _ in parts if title is not None}
        if len(fields) != len(names) + len(titles):
            raise does_not_fit("a dtype")
        description = {
            "fields": [[name, title, offset, inner.description] for name, title, offset, inner in parts],
            "size": state.size, "aligned": bool(state.flags & _ALIGNED), "record": is_record,
        }  # fmt: skip
        inners = [inner for *_, inner in parts]
        return Plain(
            description,
            1 + sum(inner.fields for inner in inners),
            1 + max((inner.depth for inner in inners), default=0),
            max((inner.dimensions for inner in inners), default=0),
        )

    def _field(self, name: Any, fields: dict[Any, Any]) -> tuple[str, str | None, int, Plain]:
        entry: Any = fields.get(name) if type(name) is str else None
        if not (_is_tuple(entry, 2) or _is_tuple(entry, 3)) or type(entry[1]) is not int:
            raise does_not_fit("a dtype")
        title = entry[2] if len(entry) == 3 else None
        if title is not None and (type(title) is not str or not _is_same(fields.get(title), entry)):
            raise does_not_fit("a dtype")
        return name, title, entry[1], self.known(entry[0])


def split(kind: Any) -> tuple[str, int]:
    """(letter, size) of a dtype's str. Raises: Untrusted: not a plain kind. Corrupt: not such a str."""
    found = _KIND.fullmatch(kind) if type(kind) is str else None
    if found is None:
        raise does_not_fit("a dtype")
    letter, size = found["letter"], int(found["size"])
    if letter == "O":
        raise refused("an array in it holds Python objects (dtype=object), which are not checked")
    if letter in "fc" and size > _SIZES[letter][-1]:
        _check_long(letter, size)
    elif letter not in "SUV" and size not in _SIZES.get(letter, ()):
        raise refused(f"an array in it has elements of the kind {kind!r}, which is not plain numbers or text")
    return letter, size


def _check_long(letter: str, size: int) -> None:
    if size != LONG.itemsize * (1 if letter == "f" else 2) or np.finfo(LONG).nmant != _X87_BITS:
        raise refused(
            f"an array in it has long doubles ({letter}{size}), which are not the same on every platform: read it "
            "where it was written, and store it with the codec numpy"
        )


def _simple(letter: str, size: int, state: State) -> str:
    """The description of a dtype without fields or subarray. Raises: Corrupt."""
    in_bytes = size * 4 if letter == "U" else size
    has_order = letter not in "SVb" and (in_bytes > 1 or letter == "U")
    if state.order not in (("<", ">") if has_order else ("|",)):
        raise does_not_fit("a dtype")
    if state.size != in_bytes and (letter in "SUV" or state.size != -1):
        raise does_not_fit("a dtype")
    if letter in "mM":
        return f"{state.order}{letter}8{_unit(state.metadata)}"
    if letter in "fc" and size > _SIZES[letter][-1]:
        if state.order != NATIVE:
            raise refused("an array in it has long doubles of another platform")
        return f"{state.order}{letter}{size}:{_X87_BITS}"
    return f"{state.order}{letter}{size}"


def _unit(metadata: Any) -> str:
    """The unit of dates and times, in brackets. Raises: Corrupt."""
    if not _is_tuple(metadata, 2) or not _is_tuple(metadata[1], 4):
        raise does_not_fit("a dtype")
    unit, *numbers = metadata[1]
    name = str(unit, "ascii") if type(unit) is bytes else unit
    if type(name) is not str or name not in _UNITS or not all(type(number) is int for number in numbers):
        raise does_not_fit("a dtype")
    count, *rest = numbers
    if not 1 <= count < 2**31 or rest != [1, 1] or (name == "generic" and count != 1):
        raise does_not_fit("a dtype")
    return "" if name == "generic" else f"[{count if count > 1 else ''}{name}]"


def _read(state: Any) -> State:
    """The parts of a state. Raises: Untrusted, Corrupt: it is invalid, or a dtype made here would lose a part."""
    if not (_is_tuple(state, 8) and state[0] == 3) and not (_is_tuple(state, 9) and state[0] == 4):
        raise does_not_fit("a dtype")
    if not all(type(state[index]) is int for index in (0, 5, 6, 7)):
        raise does_not_fit("a dtype")
    found = State._make((*state[1:8], state[8] if len(state) == 9 else None))
    own = found.metadata[0] if _is_tuple(found.metadata, 2) else found.metadata
    if own:
        raise refused("an array in it has a dtype with metadata, which are not checked")
    return found


def _compare(made: np.dtype[Any], state: State) -> None:
    """Raises: Corrupt: the dtype differs from its state."""
    if (
        state.size not in (-1, made.itemsize)
        or state.alignment not in (-1, made.alignment)
        or (state.flags ^ made.flags) & _SAME_FLAGS
    ):
        raise does_not_fit("a dtype")


def _is_tuple(value: Any, size: int) -> bool:
    return type(value) is tuple and len(value) == size


def _is_same(one: Any, other: tuple[Any, ...]) -> bool:
    """Whether two entries for a field are equal; a field is listed by name and by title."""
    return one is other or (_is_tuple(one, 3) and one[0] is other[0] and type(one[1]) is int and one[1:] == other[1:])


# -- the content of an array


def check_content(rows: np.ndarray[Any, np.dtype[np.uint8]], dtype: np.dtype[Any]) -> None:
    """Check elements, one per row of bytes. Raises: Corrupt, Untrusted: some do not fit the dtype."""
    try:
        numpy_dtype.check_content(rows, dtype)
    except ValueError as exc:
        raise Corrupt(f"an array in it cannot be: {exc}") from None
    for part, leaf in numpy_dtype.leaves(rows, dtype):
        if leaf.kind in "fc" and leaf.itemsize > _SIZES[leaf.kind][-1]:
            _check_long_content(np.ascontiguousarray(part).reshape(-1, LONG.itemsize))


def _check_long_content(rows: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    """Recognise long doubles of another platform with the same size, since a pickle does not name the platform.

    x87: 8 bytes with the leading bit of the number, 2 of exponent and sign, the rest is undefined. An IEEE number
    with few digits looks like an x87 zero whose rest holds the exponent: data with only such zeros is not x87.
    """
    digits = np.ascontiguousarray(rows[:, :8]).view("<u8")[:, 0]
    exponent = np.ascontiguousarray(rows[:, 8:10]).view("<u2")[:, 0] & 0x7FFF
    is_zero = (digits == 0) & (exponent == 0)
    is_number = (digits >> np.uint64(63) == 1) & (exponent != 0)
    looks_strange = not is_number.any() and np.isin(rows[:, -1] & 0x7F, (0x3F, 0x40, 0x7F)).any()
    if not (is_zero | is_number).all() or looks_strange:
        raise refused("an array in it has long doubles of another platform: read it where it was written")
