"""Tables that fold into blocks on narrow screens, and bars."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from store.display.html import Child, Html, element, joined
from store.display.units import size_text
from store.web.parts.prose import prose


def listing(
    headings: Sequence[Child],
    rows: Iterable[Sequence[Child]],
    *,
    caption: Child,
    numbers: Sequence[int] = (),
    kind: str = "",
) -> Html:
    """A table whose rows become blocks on narrow screens; the first cell of each names the row.

    A heading that is text is repeated in front of each cell there. `numbers` are the columns of figures. `kind` is a
    class of the style sheet: "fold", the default; "fold records"; "compact", which stays a table; "short compact",
    which also hides the caption from all but screen readers, since a heading says it already. The roles are those
    that the elements have anyway; browsers drop them when the style changes a table's layout.
    """
    labels = [None if isinstance(one, Html) else one for one in headings]
    shown = [_heading(one, "number" if place in numbers else None) for place, one in enumerate(headings)]
    return listing_of(labels, shown, rows, caption=caption, numbers=numbers, kind=kind)


def listing_of(
    labels: Sequence[str | None],
    headings: Sequence[Html],
    rows: Iterable[Sequence[Child]],
    *,
    caption: Child,
    numbers: Sequence[int] = (),
    kind: str = "",
) -> Html:
    """As `listing`, with headings that are elements `th`; `labels` are their texts in front of cells."""
    body = [_row(labels, row, numbers) for row in rows]
    return element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *headings, role="row"), role="rowgroup"),
        element("tbody", *body, role="rowgroup"),
        class_=f"listing {kind or 'fold'}",
        role="table",
    )


def facts(pairs: Iterable[tuple[str, Child]], caption: Child = None) -> Html:
    """A table of facts, each with its name in front."""
    rows = [element("tr", element("th", name, scope="row"), element("td", fact)) for name, fact in pairs]
    named = None if caption is None else element("caption", caption)
    return element("table", named, element("tbody", *rows), class_="facts")


def tiles(pairs: Iterable[tuple[str, Child]]) -> Html:
    """The figures that a page begins with, as tiles."""
    return element(
        "dl",
        *(element("div", element("dt", name), element("dd", figure)) for name, figure in pairs),
        class_="tiles",
    )


def bar(part: float, whole: float, kind: str = "") -> Html:
    """A bar as long as the part of a whole. It only repeats a figure that stands beside it."""
    width = 0.0 if whole <= 0 else max(0.0, min(100.0, 100 * part / whole))
    width = max(width, 0.8) if part > 0 else width  # so that something is seen
    fill = element("rect", width=f"{width:.1f}", height=8, class_=f"fill {kind}".strip())
    track = element("rect", width=100, height=8, class_="track")
    return element(
        "svg", track, fill, class_="bar", viewBox="0 0 100 8", preserveAspectRatio="none", aria_hidden="true"
    )


def size(amount: int) -> Html:
    """A size in bytes with its unit; the exact one is its title."""
    shown = size_text(amount)
    return element("span", shown, title=f"{amount:,} bytes" if isinstance(amount, int) else None, class_="size")


def number(amount: int) -> str:
    """A count, with commas."""
    return f"{amount:,}"


def counted(amount: int, noun: str) -> str:
    """A count with its noun, in the singular for one."""
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def notice(kind: str, *parts: Child) -> Html:
    """A paragraph that stands out. `kind`: "note", "warning", "error" or "good"."""
    said = [prose(part) if type(part) is str else part for part in parts]
    role = {"good": "status", "error": "alert"}.get(kind)
    return element("p", joined(said), class_=f"notice {kind}", role=role)


def section(title: str, *parts: Child, class_: str | None = None) -> Html:
    """A part of a page with its heading."""
    return element("section", element("h2", title), *parts, class_=class_)


def _heading(heading: Child, class_: str | None) -> Html:
    return element("th", heading, scope="col", role="columnheader", class_=class_)


def _row(labels: Sequence[str | None], row: Sequence[Child], numbers: Sequence[int]) -> Html:
    first = element("th", row[0], scope="row", role="rowheader")
    cells = [
        element("td", cell, role="cell", data_label=labels[place], class_="number" if place in numbers else None)
        for place, cell in enumerate(row[1:], 1)
    ]
    return element("tr", first, *cells, role="row")
