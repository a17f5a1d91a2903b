"""What was measured beside what the design allows: each row met, missed, or not measured."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

from .arrays import LIMIT as SAVE
from .cold_start import COMMAND, NOTHING
from .contention import Trial, throughput_ratios
from .figures import differences, ratios, spread
from .outcome import Outcome
from .peers.loads import LABEL as LOADS
from .peers.raw import LABEL as RAW
from .results import Results
from .tables import duration, grid, rounded

STORE, FROM_DISK, LMDB = "store", "store, from disk", "LMDB + pickle"
MICROSECOND, MILLISECOND = 1e-6, 1e-3
FLAT_BYTES = 1024 * 1024  # of memory that a mapped array may take: what imports and caches need
SAME = 1.25  # the ratio up to which two figures of a noisy machine are called the same


class Row(NamedTuple):
    what: str
    budget: str
    measured: str
    met: bool


def lines(results: Results) -> list[str]:
    shown = [(row.what, row.budget, row.measured, "met" if row.met else "**missed**") for row in rows(results)]
    return grid(("", "budget", "measured", ""), shown, frozenset({0, 1, 3}))


def reasons(results: Results) -> list[str]:
    """Of each row that was missed and has one: why, and what was tried."""
    missed = dict.fromkeys(row.what for row in rows(results) if not row.met)
    return [f"- {what}: {text}" for what in missed for end, text in _REASONS.items() if what.endswith(end)]


_REASONS = {  # how the row's name ends → why it is missed, and what was tried; the times are of single steps, run alone
    "from disk": "beside raw SQLite's SELECT a read checks a seal (0.6 µs of BLAKE2b, 0.5 µs to lay out what it covers) "
    "and the types of columns (0.3 µs), and asks whether anybody writes. Tried: header and body hashed at once, types "
    "only of columns that the seal does not cover, fewer calls between the layers: from 2.0 × before.",
    "`s[k] = v`": "two system calls take and give the lock between processes (1.1 µs), two look whether lock file and "
    "database are still in their places (3.3 µs), the seal takes 1.7 µs; raw SQLite does none of it. Tried: "
    "checkpoints at 3,000 pages in place of 1,000 (3 µs less), a look at the key file every 50 ms (1.6 µs), values as "
    "a plain tuple (0.8 µs), UPDATE in place of the upsert (no gain): from 2.4 × before.",
    "`s.update(…)`": "pickling, sealing and laying out a row take 3 µs of each record, beside 5.5 µs of raw SQLite. "
    "Tried: one statement for many rows, one look at the key, checkpoints by what is in the log: from 2.9 × before.",
    "a transaction of sets": "each set passes all layers, and asks whether its transaction still stands, which an "
    "interrupt may have ended. Tried: as for a set: from 3.5 × before.",
    "`items()`": "each record's seal is checked, as in a read from disk. Tried: pages fetched in parts, one loop in "
    "place of nested generators: from 2.5 × before.",
    "throughput": "a set costs more (above), and processes that take turns begin with cold caches; raw SQLite lets one "
    "process run on while others sleep for up to 100 ms, hence its waits. Tried: delays between two attempts that end "
    "at 0.5, 1, 2, 3, 4, 8 and 30 ms, and that grow faster.",
    "one read": "typing, named tuples, the key and where it lies. Tried: dataclasses, inspect, OpenSSL, the decoder of "
    "others' records and all that a reader does not call are loaded late; 35 ms of processor time are left.",
    "`store get`": "the wall time of a process on a shared machine: + 95 ms in a full run a quarter of an hour before. "
    "Tried: commands are loaded when they are called, 70 ms of processor time are left, half of them click.",
    "array: write": "what the disk is given by its other users decides: 1.3 × in a full run a quarter of an hour before, "
    "1.1 to 1.4 × in runs of its own, and the codec numpy beside it in this one. Tried: SHA-256 in place of BLAKE2b, in a "
    "thread beside the writing and syncing.",
    "against 1,000: read": "SQLite's page cache of 2 MB holds a thousand records and no million: raw SQLite grows more.",
}


def rows(results: Results) -> list[Row]:
    """Of what ran, in the order of the design."""
    return [*_cached(results), *_ratios(results), *_writers(results), *_cold(results), *_arrays(results), *_scale(results)]


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


def _ratios(results: Results) -> Iterator[Row]:
    for measure, label, what, allowed in _RATIOS:
        series = _series(results, measure)
        if label in series and RAW in series:
            ratio = spread(ratios(series[label], series[RAW]))
            yield Row(what, f"≤ {allowed} × raw", f"{rounded(ratio.median)} ×", ratio.median <= allowed)


def _writers(results: Results) -> Iterator[Row]:
    """With the most writers there were."""
    writers = max(results.contention or {}, default=0)
    trials = (results.contention or {}).get(writers, {})
    if STORE not in trials or RAW not in trials:
        return
    ours, limit = trials[STORE], trials[RAW]
    what = f"{writers} processes writing"
    throughput = median(throughput_ratios(ours, limit))
    yield Row(f"{what}: throughput", "≥ 0.7 × raw", f"{rounded(throughput)} ×", throughput >= 0.7)
    wait = median(_wait_ratios(ours, limit))
    yield Row(f"{what}: longest wait", "≤ 0.5 × raw", f"{rounded(wait)} ×", wait <= 0.5)
    fairness = median(trial.fairness for trial in ours)
    yield Row(f"{what}: slowest", "≥ 0.5 × the fastest", f"{rounded(fairness)} ×", fairness >= 0.5)


def _wait_ratios(ours: list[Trial], limit: list[Trial]) -> list[float]:
    return [trial.longest / max(other.longest, 1e-9) for trial, other in zip(ours, limit, strict=True)]


def _cold(results: Results) -> Iterator[Row]:
    series = _series(results, "cold")
    for label, floor, what, allowed in (
        (STORE, RAW, "a fresh process: import, open, one read", 40),
        (COMMAND, NOTHING, "`store get`", 100),
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
    yield Row(f"{what}: write", "≤ 1.5 × `np.save` + fsync", f"{rounded(ratio)} ×", ratio <= 1.5)
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
