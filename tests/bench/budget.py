"""What was measured beside what the design allows: each row met, missed, or not measured."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

from . import notes
from .arrays import LIMIT as SAVE
from .cold_start import COMMAND, NOTHING
from .contention import longest_wait, ratio_of, written
from .figures import Spread, differences, ratios, spread
from .mixed import p99_of_reads, throughput
from .outcome import Outcome
from .own_writes import IN_TRANSACTION, UPDATED
from .peers.loads import LABEL as LOADS
from .peers.raw import LABEL as RAW
from .peers.store import FULL_LABEL as STORE_FULL
from .peers.store import LABEL as STORE
from .results import Results
from .tables import duration, grid, rounded

FROM_DISK, LMDB = "store, from disk", "LMDB + pickle"
MICROSECOND, MILLISECOND = 1e-6, 1e-3
FLAT_BYTES = 1024 * 1024  # of memory that a mapped array may take: what imports and caches need
SAME = 1.25  # the ratio up to which two figures of a noisy machine are called the same


class Row(NamedTuple):
    what: str
    budget: str
    measured: str
    met: bool


def lines(results: Results) -> list[str]:
    shown = [(row.what, row.budget, row.measured, "met" if row.met else notes.MISSED) for row in rows(results)]
    return grid(("", "budget", "measured", ""), shown, frozenset({0, 1, 3}))


def notes_of(results: Results) -> list[str]:
    """Of each row that was missed and has one: why, and what was tried."""
    return notes.lines(row.what for row in rows(results) if not row.met)


def rows(results: Results) -> list[Row]:
    """Of what ran, in the order of the design."""
    return [
        *_cached(results), *_own(results), *_ratios(results), *_mixed(results), *_writers(results), *_synced(results),
        *_cold(results), *_arrays(results), *_scale(results),
    ]  # fmt: skip


_RATIOS = (  # measure, label, what, the largest ratio to raw SQLite that is allowed
    ("get", FROM_DISK, "`s[k]`, from disk", 1.5),
    ("set", STORE, "`s[k] = v`", 1.6),
    ("update", STORE, "`s.update(…)`", 1.5),
    ("transaction", STORE, "a transaction of sets", 2.0),
    ("items", STORE, "`items()`", 1.8),
)


def _cached(results: Results) -> Iterator[Row]:
    series = _series(results, "get")
    if STORE in series and LOADS in series:
        over = median(differences(series[STORE], series[LOADS]))
        yield Row("`s[k]`, cached", "≤ `pickle.loads` + 1.0 µs", f"+ {duration(over)}", over <= MICROSECOND)
    if STORE in series and LMDB in series:
        ratio = median(ratios(series[STORE], series[LMDB]))
        yield Row("`s[k]`, cached", "faster than LMDB + pickle", f"{rounded(ratio)} ×", ratio < 1)


def _own(results: Results) -> Iterator[Row]:
    outcome = results.outcomes.get("own")
    for label, what in ((UPDATED, "an update"), (IN_TRANSACTION, "a transaction")):
        ratio = outcome.ratio(label) if outcome else None
        if ratio:
            budget = f"as cached (≤ {SAME} ×)"
            yield Row(f"the first read after {what} of one's own", budget, f"{rounded(ratio.median)} ×", ratio.median <= SAME)


def _ratios(results: Results) -> Iterator[Row]:
    for measure, label, what, allowed in _RATIOS:
        series = _series(results, measure)
        if label in series and RAW in series:
            ratio = spread(ratios(series[label], series[RAW]))
            yield Row(what, f"≤ {allowed} × raw", f"{rounded(ratio.median)} ×", ratio.median <= allowed)


def _mixed(results: Results) -> Iterator[Row]:
    """Of processes; threads of one process have no budget."""
    for shape, trials in (results.mixed or {}).items():
        if shape.threads > 1 or STORE not in trials or RAW not in trials:
            continue
        ours, limit = trials[STORE], trials[RAW]
        what = f"{shape.processes} processes, {100 - shape.writes}/{shape.writes}"
        least = _MIXED_AT_LEAST[shape.writes]
        yield _at_least(f"{what}: throughput", least, "raw", ratio_of(throughput, ours, limit))
        yield _at_most(f"{what}: p99 of a read", 1.0, ratio_of(p99_of_reads, ours, limit))


_MIXED_AT_LEAST = {10: 0.9, 1: 2.0}  # writes of 100 operations → the least throughput against raw SQLite's


def _writers(results: Results) -> Iterator[Row]:
    """With the most writers there were."""
    writers = max(results.contention or {}, default=0)
    trials = (results.contention or {}).get(writers, {})
    if STORE not in trials or RAW not in trials:
        return
    ours, limit = trials[STORE], trials[RAW]
    what = f"{writers} processes writing"
    yield _at_least(f"{what}: throughput", 0.6, "raw", ratio_of(written, ours, limit))
    yield _at_most(f"{what}: longest wait", 1.0, ratio_of(longest_wait, ours, limit))
    yield _at_least(f"{what}: slowest", 0.5, "the fastest", spread([trial.fairness for trial in ours]))


def _synced(results: Results) -> Iterator[Row]:
    """One process syncs its writes one by one; the most processes share syncs."""
    found = results.synced or {}
    if len(found) < 2 or STORE_FULL not in found[max(found)]:
        return
    gain = ratio_of(written, found[max(found)][STORE_FULL], found[min(found)][STORE_FULL])
    what = f'{max(found)} processes writing, `durability="full"`: throughput'
    yield _at_least(what, 3.0, "one by one", gain)


def _at_least(what: str, least: float, of: str, found: Spread) -> Row:
    return Row(what, f"≥ {least:g} × {of}", f"{rounded(found.median)} ×", found.median >= least)


def _at_most(what: str, most: float, found: Spread) -> Row:
    return Row(what, f"≤ {most:g} × raw", f"{rounded(found.median)} ×", found.median <= most)


def _cold(results: Results) -> Iterator[Row]:
    series = _series(results, "cold")
    for label, floor, what, allowed in (
        (STORE, RAW, "a fresh process: import, open, one read", 40),
        (COMMAND, NOTHING, "`store get`", 80),
    ):
        if label in series:
            over = median(differences(series[label], series[floor]))
            budget = f"≤ {'raw' if floor == RAW else f'`{floor}`'} + {allowed} ms"
            yield Row(what, budget, f"+ {duration(over)}", over <= allowed * MILLISECOND)


def _arrays(results: Results) -> Iterator[Row]:
    found = results.arrays
    if found is None:
        return
    what = f"{found.size_mib} MiB array"
    ratio = median(ratios(found.write.series[STORE], found.write.series[SAVE]))
    yield Row(f"{what}: write", "≤ 1.3 × `np.save` + fsync", f"{rounded(ratio)} ×", ratio <= 1.3)
    took = median(found.read.series[STORE])
    yield Row(f"{what}: read", "≤ 2 ms", duration(took), took <= 2 * MILLISECOND)
    grown = median(found.growth[STORE])
    yield Row(f"{what}: memory to read it", "flat", f"+ {grown / 1024**2:.1f} MiB", grown <= FLAT_BYTES)


def _scale(results: Results) -> Iterator[Row]:
    found = results.scale
    if found is None or len(found.sizes) < 2:
        return
    small, large = min(found.sizes), max(found.sizes)
    what = f"{large:,} records against {small:,}"
    read = median(found.growth_of("get from disk", small, large))
    yield Row(f"{what}: read", "≤ 1.5 ×", f"{rounded(read)} ×", read <= 1.5)
    opened = median(found.growth_of("open", small, large))
    yield Row(f"{what}: open", "the same", f"{rounded(opened)} ×", opened <= SAME)
    memory = found.resident[large] / found.resident[small]
    yield Row(f"{what}: memory", "flat", f"{rounded(memory)} ×", memory <= SAME)


def _series(results: Results, measure: str) -> dict[str, list[float]]:
    outcome: Outcome | None = results.outcomes.get(measure)
    return dict(outcome.series) if outcome is not None else {}
