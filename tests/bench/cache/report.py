"""`report-cache.md` and `report-cache.svg`: what was measured, and how to read it."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from .. import chart, machine, noise
from ..figures import spread
from ..outcome import Outcome
from ..peers import GUARANTEES
from ..tables import by_class, duration, grid, times
from .measures import Found, Plan
from .peers import BASE, KINDS, class_of, kind_of, present
from .redis_server import server_version
from .stampede import Stampedes

HOW = """\
All have the same names and values (a visitor's session, about 120 bytes when pickled), in fresh directories, used as their
own documentation says. Timed sections take turns, in an order that changes from round to round. Figures are medians of the
rounds, for one operation; a ratio is taken within a round, and its median shown with the least and the largest. A hit reads
one of 5,000 entries all over the cache, which this process has read before.

At the bound: each cache is filled, then bounded by the size that it has, in its own unit: bytes in the file (store,
diskcache), bytes of memory (Redis), or entries; then as many new entries are set before the first timed section, so that
it is as after a long time at its bound (but for cachelib, which would take hours). *Entries left* is how many it has in the
end: what goes in no order leaves pages of a file half empty, so that fewer entries take the same bytes.
"""
STAMPEDE = """\
{processes} processes ask for the same missing entry at the same moment; computing it takes {computing} (a sleep). *Computed*
is how often it was computed; the time ends when the last process has the entry. *get and set* is what a library has that
offers nothing else.
"""


class Results(NamedTuple):
    plan: Plan
    noise: noise.Noise
    by_size: dict[int, list[Found]]
    stampedes: Stampedes


def lines(results: Results, took: str, *, quick: bool) -> list[str]:
    plan = results.plan
    sizes = ",".join(map(str, plan.sizes))
    text = [
        "# Caches: this store beside diskcache, cachelib and Redis", "",
        f"{_kind_of_run(plan, quick)}, {took}, by "
        f"`python -m tests.bench --only cache{' --quick' if quick else ''} --scale {sizes}`.", "",
        *machine_lines(), noise.line(results.noise), "", *HOW.splitlines(), "",
        *(f"- *{each.name}*: {each.meaning}" for each in GUARANTEES if each in {class_of(kind.label) for kind in KINDS}), "",
    ]  # fmt: skip
    for size, found in results.by_size.items():
        text += [f"## {size:,} entries", ""]
        for each in found:
            text += [f"### {each.outcome.title}", "", *table(each), ""]
    about = STAMPEDE.format(processes=plan.processes, computing=duration(plan.computing))
    text += ["## One cold entry, many processes", "", *about.splitlines(), "", *stampede_table(results.stampedes, plan)]
    return text


def _kind_of_run(plan: Plan, quick: bool) -> str:
    if quick:
        return "A quick run: figures vary more than those of a full one"
    return "A full run" if plan.is_whole() else "A run of a part of what a full one measures"


def table(found: Found) -> list[str]:
    """The classes in their order, the fastest of each first."""
    outcome = found.outcome
    rows = []
    for label in outcome.fastest_first():
        figures = spread(outcome.series[label])
        around = f"{duration(figures.least)} – {duration(figures.largest)}"
        entries = [f"{found.entries[label]:,}"] if found.entries else []
        note = kind_of(label).note
        rows.append((label, (duration(figures.median), around, times(outcome.ratio(label)), *entries, note)))
    heads = ("class", "", "median", "least – most", f"÷ {BASE}", *(["entries left"] if found.entries else []), "")
    return grid(heads, by_class(rows, class_of), frozenset({0, 1, len(heads) - 1}))


def stampede_table(found: Stampedes, plan: Plan) -> list[str]:
    """The fastest of each class first."""
    rows = []
    for label in sorted(found.seconds, key=lambda label: median(found.seconds[label])):
        counts, figures = found.computed[label], spread(found.seconds[label])
        around = f"{duration(figures.least)} – {duration(figures.largest)}"
        cells = _counts(counts), duration(figures.median), around, f"{figures.median / plan.computing:.2f}"
        rows.append((label, cells))
    heads = ("class", "", "computed", "median", "least – most", "÷ one computation")
    return grid(heads, by_class(rows, class_of), frozenset({0, 1}))


def _counts(counts: Sequence[int]) -> str:
    least, most = min(counts), max(counts)
    return f"{median(counts):g}" if least == most else f"{median(counts):g} ({least} – {most})"


def svg(results: Results) -> str:
    """A panel for each operation and size, and one for the stampede."""
    panels = {
        f"{_TITLES[each.outcome.measure]}, {size:,} entries": each.outcome
        for size, found in results.by_size.items() for each in found
    }  # fmt: skip
    if results.stampedes.seconds:
        title = f"{results.plan.processes} processes, one cold entry"
        panels[title] = Outcome("stampede", title, results.stampedes.seconds)
    return chart.svg(panels, class_of, "Time of an operation of this store's cache and of others")


_TITLES = {"hit": "hit", "miss": "miss", "set": "set", "evict": "set with eviction"}


def machine_lines() -> list[str]:
    versions = dict.fromkeys(kind.version() for kind in present() if kind.distribution)
    versions |= dict.fromkeys(each for each in [server_version()] if each)
    text = [*machine.without_peers(), f"- {', '.join(versions)}"] if versions else machine.without_peers()
    absent = [f"{kind.label} (needs {', '.join(kind.missing())})" for kind in KINDS if kind.missing()]
    return [*text, f"- absent: {'; '.join(absent)}"] if absent else text
