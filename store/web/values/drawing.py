"""Numbers as small pictures: inline SVG with presentation attributes alone, which needs no style sheet or script."""

from __future__ import annotations

import math
from collections.abc import Sequence

from store.display.html import Html, element

# Dark to bright, so that the order is seen without color as well (viridis, https://bids.github.io/colormap/).
COLORS = (
    "#440154", "#481a6c", "#472f7d", "#414487", "#39568c", "#31688e", "#2a788e", "#23888e",
    "#1f988b", "#22a884", "#35b779", "#54c568", "#7ad151", "#a5db36", "#d2e21b", "#fde725",
)  # fmt: skip
_WIDE, _HIGH = 240, 48  # of a sparkline, in its own units
ROUNDING = 1e-9  # differences that are smaller, as a part of the numbers, are those of rounding, and not drawn


def heat_map(rows: Sequence[Sequence[float]], label: str, cell: int = 6) -> Html:
    """A grid of numbers as colors, from the least to the greatest; what is not finite stays empty."""
    low, high = _range([number for row in rows for number in row])
    paths: dict[str, list[str]] = {}
    for y, row in enumerate(rows):
        x = 0
        while x < len(row):
            color = _color(row[x], low, high)
            end = x + 1
            while end < len(row) and _color(row[end], low, high) == color:  # one shape for cells of one color
                end += 1
            if color is not None:
                paths.setdefault(color, []).append(f"M{x} {y}h{end - x}v1h-{end - x}z")
            x = end
    wide = max(map(len, rows), default=0)
    shapes = [element("path", fill=color, d="".join(parts)) for color, parts in paths.items()]
    return _picture(shapes, label, "heat-map", (wide, len(rows)), (wide * cell, len(rows) * cell))


def sparkline(
    numbers: Sequence[float],
    label: str,
    *,
    places: Sequence[int] | None = None,
    wide: int = _WIDE,
    high: int = _HIGH,
) -> Html:
    """Numbers as a line, each at its place, by default one after the other. It has gaps where they are not finite."""
    low, greatest = _range(numbers)
    span = greatest - low
    is_flat = not ROUNDING * max(abs(low), abs(greatest)) < span < math.inf
    at = range(len(numbers)) if places is None else places
    step = _WIDE / max([1, *at[-1:]])
    drawn: list[str] = []
    pen = "M"
    for place, number in zip(at, numbers, strict=True):
        if not math.isfinite(number):
            pen = "M"
            continue
        height = _HIGH / 2 if is_flat else _HIGH - 1 - (number - low) / span * (_HIGH - 2)
        drawn.append(f"{pen}{place * step:.1f} {height:.1f}")
        pen = "L"
    line = element(
        "path",
        d="".join(drawn),
        fill="none",
        stroke="currentColor",
        stroke_width="1.5",
        vector_effect="non-scaling-stroke",
    )
    return _picture([line], label, "sparkline", (_WIDE, _HIGH), (wide, high))


def _picture(shapes: list[Html], label: str, name: str, box: tuple[int, int], size: tuple[int, int]) -> Html:
    return element(
        "svg",
        element("title", label),
        *shapes,
        class_=name,
        viewBox=f"0 0 {box[0]} {box[1]}",
        width=size[0],
        height=size[1],
        role="img",
        aria_label=label,
        preserveAspectRatio="none",
        shape_rendering="crispEdges" if name == "heat-map" else None,
    )


def _range(numbers: Sequence[float]) -> tuple[float, float]:
    finite = [number for number in numbers if math.isfinite(number)]
    return (min(finite), max(finite)) if finite else (0.0, 0.0)


def _color(number: float, low: float, high: float) -> str | None:
    if not math.isfinite(number):
        return None
    span = high - low
    if not 0 < span < math.inf:
        return COLORS[len(COLORS) // 2]
    return COLORS[min(len(COLORS) - 1, int((number - low) / span * len(COLORS)))]
