"""The chart that the README shows: bars on a logarithmic scale, as SVG written by hand.

Each panel is in parts, by what the systems promise, so that only bars of one part compare fairly. The chart has a background
of its own and follows the reader's colour scheme, so it can be read on light and dark pages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from statistics import median
from xml.sax.saxutils import escape

from . import mixed
from .outcome import Outcome
from .peers import ALONE, CRASH, FLOOR, GUARANTEES, POWER_CUT, WEAKER, Guarantee
from .peers.raw import FULL_LABEL, LABEL
from .peers.roster import guarantee_of
from .results import Results
from .tables import duration

PANELS = {
    "get": "read one record", "set": "write one record",
    "update": "write 10,000 at once, per record", "items": "read all, per record",
}  # fmt: skip
Part = tuple[Guarantee, dict[str, float]]  # a class, and the median of each label
MIXED = (mixed.Shape(2, 1, 10), mixed.Shape(4, 1, 10), mixed.Shape(2, 1, 1), mixed.Shape(4, 1, 1))
LIMITS = (LABEL, FULL_LABEL)

WIDTH, MARGIN, GAP = 1000, 20, 40
LABEL_WIDTH, VALUE_WIDTH = 190, 60
LINE, HEAD, PART_HEAD = 19, 30, 20  # heights of a bar's line, of a panel's title and of a part's

CLASSES: dict[Guarantee, tuple[str, str]] = {  # → its name in the style, and what its parts are called
    POWER_CUT: ("power", "survives a power cut; many processes"),
    CRASH: ("crash", "survives a crash; many processes"),
    ALONE: ("alone", "one process at a time"),
    WEAKER: ("weaker", "fragile or weak"),
    FLOOR: ("floor", "reads memory only"),
}
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.head { font-weight: 600; font-size: 14px } .note { fill: #59636e; font-size: 11px } .own { font-weight: 600 }
.page { fill: #ffffff } .bar { fill-opacity: 0.4 } .limit { fill-opacity: 0.65 } .store { fill-opacity: 1 }
.power { fill: #1a7f37 } .crash { fill: #0969da } .alone { fill: #8250df } .weaker { fill: #bc4c00 } .floor { fill: #6e7781 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .note { fill: #9198a1 } .page { fill: #0d1117 }
  .power { fill: #3fb950 } .crash { fill: #4493f8 } .alone { fill: #ab7df8 } .weaker { fill: #f0883e } .floor { fill: #8b949e }
}
"""
LEGEND = ("Medians; shorter is faster; the scale is logarithmic. Strong bars: this store. Colours: what a write that "
          "returned survives, and how many processes may have it open.")  # fmt: skip


def panels(results: Results) -> dict[str, Outcome]:
    """By title: what ran of the chart."""
    found = {title: results.outcomes[measure] for measure, title in PANELS.items() if measure in results.outcomes}
    for shape in MIXED:
        outcome = mixed.outcome(results.mixed or {}, shape)
        if outcome is not None and outcome.series:
            found[f"{shape.processes} processes, {100 - shape.writes} % reads, per operation"] = outcome
    return found


def svg(
    found: Mapping[str, Outcome],
    class_of: Callable[[str], Guarantee] = guarantee_of,
    title: str = "Time per record of this store, raw sqlite3 and others",
    limits: Container[str] = LIMITS,
) -> str:
    """Two panels side by side in each row; `class_of` tells the class of a label, `limits` are those of raw drivers."""
    titles = list(found)
    body, top = [], float(MARGIN)
    for index in range(0, len(titles), 2):
        pair = titles[index : index + 2]
        parts = [list(_parts(found[head], class_of)) for head in pair]
        for column, head in enumerate(pair):
            body += _panel(head, parts[column], MARGIN + column * ((WIDTH - 2 * MARGIN + GAP) / 2), top, limits)
        top += max(map(_height, parts)) + LINE
    body.append(_text(MARGIN, top, LEGEND, "note"))
    height = top + MARGIN
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>", f'<rect class="page" width="{WIDTH}" height="{height:g}" rx="8"/>', *body, "</svg>", "",
    ])  # fmt: skip


def _parts(outcome: Outcome, class_of: Callable[[str], Guarantee]) -> Iterator[Part]:
    """The medians of each class that has some, the fastest first."""
    for guarantee in GUARANTEES:
        labels = [label for label in outcome.fastest_first() if class_of(label) is guarantee]
        if labels:
            yield guarantee, {label: median(outcome.series[label]) for label in labels}


def _height(parts: Sequence[Part]) -> float:
    return HEAD + sum(PART_HEAD + LINE * len(medians) for _, medians in parts)


def _panel(title: str, parts: Sequence[Part], left: float, top: float, limits: Container[str]) -> list[str]:
    every = [seconds for _, medians in parts for seconds in medians.values()]
    low, high = min(every) / 2, max(every)
    room = (WIDTH - 2 * MARGIN - GAP) / 2 - LABEL_WIDTH - VALUE_WIDTH
    drawn = [_text(left, top + 14, title, "head")]
    y = top + HEAD
    for guarantee, medians in parts:
        class_, name = CLASSES[guarantee]
        drawn.append(f'<rect class="{class_}" x="{left:.1f}" y="{y:.1f}" width="3" height="{PART_HEAD + LINE * len(medians) - 6}"/>')
        drawn.append(_text(left + 9, y + 11, name, "note"))
        y += PART_HEAD
        for label, seconds in medians.items():
            long = room * math.log(seconds / low) / math.log(high / low)
            weight = "limit" if label in limits else "bar"
            drawn += _bar(label, class_, weight, seconds, left + LABEL_WIDTH, y, long)
            y += LINE
    return drawn


def _bar(label: str, class_: str, weight: str, seconds: float, left: float, y: float, long: float) -> list[str]:
    own = "own" if label.startswith("store") else ""
    weight = "store" if own else weight
    return [
        _text(left - 8, y + 11, label, own, anchor="end"),
        f'<rect class="{class_} {weight}" x="{left:.1f}" y="{y:.1f}" width="{long:.1f}" height="13" rx="2"/>',
        _text(left + long + 6, y + 11, duration(seconds), own),
    ]


def _text(x: float, y: float, text: str, class_: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{class_}" text-anchor="{anchor}">{escape(text)}</text>'
