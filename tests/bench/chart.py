"""The chart that the README shows: bars on a logarithmic scale, as SVG written by hand.

It has a background of its own and follows the reader's colour scheme, so it can be read on light and dark pages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median
from xml.sax.saxutils import escape

from .outcome import Outcome
from .peers.raw import LABEL as LIMIT
from .peers.roster import durability_of
from .tables import duration

PANELS = {
    "get": "read one record", "set": "write one record", "update": "write 10,000 at once, per record",
    "items": "read all, per record",
}  # fmt: skip
WRITES = ("set", "update")  # where it matters what a write survives
WIDTH, MARGIN, GAP = 1000, 20, 40
LABEL_WIDTH, VALUE_WIDTH = 212, 60
LINE, HEAD = 20, 34

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.head { font-weight: 600; font-size: 14px } .note { fill: #59636e; font-size: 11px; font-weight: 400 }
.page { fill: #ffffff } .bar { fill: #afb8c1 } .limit { fill: #6e7781 } .store { fill: #0969da } .own { font-weight: 600 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .note { fill: #9198a1 } .page { fill: #0d1117 }
  .bar { fill: #484f58 } .limit { fill: #8b949e } .store { fill: #4493f8 }
}
"""


def svg(outcomes: Mapping[str, Outcome]) -> str:
    """Two panels side by side in each row, one for each of PANELS that ran."""
    found = [outcomes[measure] for measure in PANELS if measure in outcomes]
    body, top = [], MARGIN
    for index in range(0, len(found), 2):
        pair = found[index : index + 2]
        for column, outcome in enumerate(pair):
            body += _panel(outcome, MARGIN + column * ((WIDTH - 2 * MARGIN + GAP) / 2), top)
        top += HEAD + LINE * max(len(outcome.series) for outcome in pair) + LINE
    body.append(_text(MARGIN, top, "Time per record, median; shorter is faster; the scale is logarithmic. Before the names: "
                      "what a write that returned survives.", "note"))  # fmt: skip
    height = top + MARGIN
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
        "<title>Time per record of this store, raw sqlite3 and others</title>",
        f"<style>{STYLE}</style>", f'<rect class="page" width="{WIDTH}" height="{height}" rx="8"/>', *body, "</svg>", "",
    ])  # fmt: skip


def _panel(outcome: Outcome, left: float, top: float) -> list[str]:
    medians = {label: median(outcome.series[label]) for label in outcome.fastest_first()}
    low, high = min(medians.values()) / 2, max(medians.values())
    room = (WIDTH - 2 * MARGIN - GAP) / 2 - LABEL_WIDTH - VALUE_WIDTH
    parts = [_text(left, top + 14, PANELS[outcome.measure], "head")]
    for index, (label, seconds) in enumerate(medians.items()):
        y = top + HEAD + index * LINE
        long = room * math.log(seconds / low) / math.log(high / low)
        own = "own" if label.startswith("store") else ""
        start = left + LABEL_WIDTH
        parts.append(_text(start - 8, y + 11, label, own, anchor="end"))
        if outcome.measure in WRITES:
            parts.append(_text(left, y + 11, durability_of(label), "note"))
        parts.append(f'<rect class="{_class(label)}" x="{start:.1f}" y="{y}" width="{long:.1f}" height="14" rx="2"/>')
        parts.append(_text(start + long + 6, y + 11, duration(seconds), own))
    return parts


def _class(label: str) -> str:
    return "store" if label.startswith("store") else "limit" if label == LIMIT else "bar"


def _text(x: float, y: float, text: str, class_: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{class_}" text-anchor="{anchor}">{escape(text)}</text>'
