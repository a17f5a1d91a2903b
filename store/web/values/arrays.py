"""NumPy arrays: shape, dtype, the least, mean and greatest element, and a small picture of the elements.

An array may be a mapped file of many gigabytes. Elements of a large one are therefore sampled, at places that are
evenly spaced, so that few pages of the file are read.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from store.display.html import Html, element
from store.display.text import cut
from store.display.units import size_text
from store.web.values.class_names import full_name, is_a
from store.web.values.drawing import heat_map, sparkline
from store.web.values.lines import line_of
from store.web.values.tables import MOST_COLUMNS, MOST_ROWS, heading, rows_table, what_is_left_out

MOST_WHOLE = 1 << 20  # elements, up to which all of them are read
BLOCKS, BLOCK = 64, 1024  # of a larger array: so many places, and elements at each
MAP, SMALL_MAP = (24, 48), (6, 12)  # rows and columns of a heat map
LARGE_MAP = (16, 32)  # of an array of which not all elements are read
POINTS = 120  # of a sparkline
MOST_LISTED_BYTES = 64 * 1024  # of elements that are no numbers
_NUMBERS = frozenset("biufcmM")
_UNKNOWN = float("nan")
MOST_LEAVES = 1 << 18  # values of the elements that are listed
MOST_DTYPE = 40  # characters of its name
MOST_SPELLED = 8  # elements of an array that are shown one by one
MOST_SPELLED_BYTES = 1024


class Figures(NamedTuple):
    """The least, mean and greatest of the elements that were read, as text.

    `of` is the number of elements that were read, `unusual` how many of these are not finite, or missing dates.
    """

    least: str
    mean: str | None
    greatest: str
    unusual: int
    of: int


def is_array(value: Any) -> bool:
    """Whether a value is an array, of a subclass as well."""
    return is_a(value, np.ndarray)


def array_html(value: Any) -> Html:
    """An array as a page shows it."""
    plain = _plain(value)
    if plain.dtype.kind not in _NUMBERS:
        return element("div", element("p", title_of(value)), _listed(plain))
    figures = figures_of(plain)
    rows = [("least", figures.least), ("mean", figures.mean), ("greatest", figures.greatest)] if figures else []
    facts = [item for name, shown in rows if shown for item in (element("dt", name), element("dd", shown))]
    return element(
        "div",
        element("p", title_of(value)),
        element("dl", *facts, class_="array-figures") if facts else None,
        element("p", _remark(plain, figures), class_="more") if figures else None,
        picture_of(plain) if plain.size > MOST_SPELLED else element("p", _spelled(plain)),
        class_="array",
    )


def brief_array(value: Any) -> Html:
    """An array in a cell: its title and a picture a line high."""
    plain = _plain(value)
    is_drawn = plain.dtype.kind in _NUMBERS and plain.size > MOST_SPELLED
    shown = picture_of(plain, small=True) if is_drawn else _spelled(plain)
    return element("span", title_of(value), " ", shown, class_="array")


def _spelled(plain: Any) -> Html | None:
    """The elements themselves, where they are few: `[1.0, 2.5]`."""
    if not 0 < plain.size <= MOST_SPELLED or plain.nbytes > MOST_SPELLED_BYTES:
        return None
    if plain.size * _leaves(plain.dtype) > MOST_LEAVES:
        return None
    return element("code", line_of(plain.tolist()))


def title_of(value: Any) -> str:
    """The dtype, shape and size, `float64 array (3 × 4), 96 B`; the class too where it is a subclass."""
    plain = _plain(value)
    shape = " × ".join(f"{side:,}" for side in plain.shape)
    name = "" if type(value) is np.ndarray else f"{full_name(type(value))}: "
    return f"{name}{cut(_dtype_text(plain.dtype), MOST_DTYPE)} array ({shape}), {size_text(plain.nbytes)}"


def figures_of(plain: Any) -> Figures | None:
    """What the elements say, None where there are none."""
    sample = _sample(plain)
    if sample.size == 0:
        return None
    numbers = _real(sample)
    usual = np.isfinite(numbers)
    unusual = int(sample.size - usual.sum())
    if unusual == sample.size:
        return Figures("none is finite", None, "none is finite", unusual, sample.size)
    exact = np.abs(sample[usual]) if sample.dtype.kind == "c" else sample[usual]
    with np.errstate(all="ignore"):
        mean = None if sample.dtype.kind in "mM" else f"{numbers[usual].mean():.6g}"
    return Figures(_number(exact.min()), mean, _number(exact.max()), unusual, sample.size)


def _number(element_: Any) -> str:
    return f"{element_:.6g}" if element_.dtype.kind == "f" else str(element_)


def picture_of(plain: Any, *, small: bool = False) -> Html:
    """A heat map of the last two axes, or a sparkline where there is one axis."""
    plane = plain[(0,) * max(0, plain.ndim - 2)]
    planes = plain.size // plane.size
    where = "" if planes == 1 else f" of the first of {planes:,} planes"
    if plane.ndim == 2 and min(plane.shape) > 1:
        most = LARGE_MAP if plane.size > MOST_WHOLE else MAP
        ys, xs = (
            _places(side, number) for side, number in zip(plane.shape, SMALL_MAP if small else most, strict=True)
        )
        return heat_map(_real(plane[np.ix_(ys, xs)]).tolist(), f"heat map{where}", 3 if small else 8)
    line = plane if plane.ndim == 1 else plane[0] if plane.shape[0] == 1 else plane[:, 0]
    size = {"wide": 96, "high": 16} if small else {}
    places, numbers = _thinned(line)
    return sparkline(numbers.tolist(), f"the elements in order{where}", places=places.tolist(), **size)


def _plain(value: Any) -> Any:
    """The same elements without the class's own methods."""
    return np.ndarray.view(value, np.ndarray)


def _sample(plain: Any) -> Any:
    """All elements, or blocks of them that are evenly spaced."""
    if not plain.flags.forc:
        return _thinned_axes(plain)
    flat = (plain if plain.flags.c_contiguous else plain.T).reshape(-1)
    if flat.size <= MOST_WHOLE:
        return flat
    starts = np.linspace(0, flat.size - BLOCK, BLOCKS).astype(np.int64)
    return np.concatenate([flat[start : start + BLOCK] for start in starts])


def _thinned_axes(plain: Any) -> Any:
    """Some elements of an array that is not in one piece: flattening it would copy all of it."""
    each = max(1, int(MOST_WHOLE ** (1 / max(1, plain.ndim))))
    return plain[tuple(slice(None, None, max(1, -(-side // each))) for side in plain.shape)].reshape(-1)


def _thinned(line: Any) -> tuple[Any, Any]:
    """The points of a sparkline and their places: the least and greatest of each stretch, at its two ends, or single
    elements of a large array.
    """
    if line.size <= POINTS or line.size > MOST_WHOLE:
        places = _places(line.size, POINTS)
        return places, _real(line[places])
    edges = np.linspace(0, line.size, POINTS // 2, endpoint=False).astype(np.int64)
    numbers = _real(line)
    pairs = np.stack([np.fmin.reduceat(numbers, edges), np.fmax.reduceat(numbers, edges)], axis=1)
    ends = np.append(edges[1:], line.size) - 1
    falls = numbers[ends] < numbers[edges]
    pairs[falls] = pairs[falls][:, ::-1]  # else a smooth line would be drawn as teeth of a saw
    return np.stack([edges, ends], axis=1).reshape(-1), pairs.reshape(-1)


def _places(side: int, most: int) -> Any:
    return np.linspace(0, side - 1, min(side, most)).round().astype(np.int64)


def _real(elements: Any) -> Any:
    """Elements as float64: the magnitude of complex ones, the number in its unit of a date, NaN for a missing one."""
    with np.errstate(all="ignore"):
        if elements.dtype.kind == "c":
            return np.abs(elements).astype(np.float64)
        if elements.dtype.kind in "mM":
            return np.where(np.isnat(elements), _UNKNOWN, elements.astype(np.int64).astype(np.float64))
        return elements.astype(np.float64)


def _remark(plain: Any, figures: Figures | None) -> str | None:
    if figures is None:
        return None
    sampled = f"from {figures.of:,} of {plain.size:,} elements" if figures.of < plain.size else ""
    kind = "missing" if plain.dtype.kind in "mM" else "not finite"
    unusual = f"{figures.unusual:,} {kind}" if figures.unusual else ""
    magnitude = "magnitudes of complex numbers" if plain.dtype.kind == "c" else ""
    return "; ".join(filter(None, (sampled, unusual, magnitude))) or None


def _listed(plain: Any) -> Html:
    """The first elements of an array of texts, records or objects."""
    rows = min(MOST_ROWS, MOST_LISTED_BYTES // max(1, plain.dtype.itemsize), MOST_LEAVES // _leaves(plain.dtype))
    names = plain.dtype.names or ()
    if plain.ndim == 0 and rows:
        return element("p", element("code", line_of(plain.item())))
    if not rows or plain.size == 0:
        return element("p", "no elements" if plain.size == 0 else "its elements are too large to show", class_="more")
    first = plain[(0,) * (plain.ndim - 1)][:rows].tolist()
    left_out = what_is_left_out(plain.size if plain.size > len(first) else 0, len(names))
    if not names:
        return rows_table(["", "element"], enumerate(first), left_out)
    headings = [heading(name, cut(_dtype_text(plain.dtype[name]), MOST_DTYPE)) for name in names[:MOST_COLUMNS]]
    return rows_table(["", *headings], ([at, *row[:MOST_COLUMNS]] for at, row in enumerate(first)), left_out)


def _leaves(dtype: Any, known: dict[int, int] | None = None) -> int:
    """How many values one element has. Fields of no bytes can share their dtypes, and so be any number."""
    known = {} if known is None else known
    if id(dtype) not in known:
        if dtype.subdtype is not None:
            known[id(dtype)] = math.prod(dtype.shape) * _leaves(dtype.base, known)
        else:
            names = dtype.names or ()
            known[id(dtype)] = max(1, sum(_leaves(dtype.fields[name][0], known) for name in names))
    return max(1, known[id(dtype)])


def _dtype_text(dtype: Any) -> str:
    """The name of a dtype; one with fields is named by their number, since its text may be long."""
    if dtype.subdtype is not None:
        return f"{_dtype_text(dtype.base)} ({' × '.join(map(str, dtype.shape))})"
    if dtype.names is not None:
        return f"{len(dtype.names):,}-field"
    if dtype.kind == "T":  # its text has that of an object of any class
        return "StringDType"
    return str(dtype.name) if dtype.kind in _NUMBERS else str(dtype)
