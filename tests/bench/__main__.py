"""This store beside raw SQLite and what else people keep Python objects in; see tests/bench/__init__.py."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from . import budget, chart, notes, report
from .plan import FULL, QUICK, Plan
from .results import MEASURES, run

if TYPE_CHECKING:
    from .cache.measures import Plan as CachePlan
    from .remote.plan import Plan as RemotePlan

CACHE = "cache"  # the measure that has a report of its own, and is asked for alone
COMMITTED = Path(__file__).parent  # where the README looks; only a full run of everything writes there unasked
ELSEWHERE = Path("build", "bench")


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--engine", choices=("sqlite", "postgres", "redis"), default="sqlite", help="see tests/bench/postgres and tests/bench/redis")
    parser.add_argument("--quick", action="store_true", help="under three minutes, with less precision")
    parser.add_argument("--only", type=_measures, metavar="MEASURE,…", help=f"{', '.join(MEASURES)}; or {CACHE}: see tests/bench/cache")
    parser.add_argument("--peers", type=_words, default=(), metavar="PEER,…", help="beginnings of their labels")
    parser.add_argument("--scale", type=_sizes, metavar="SIZE,…", help="only scale (or cache, with --only cache), with so many records")
    parser.add_argument("--rounds", type=int, help="timed sections of each peer")
    parser.add_argument("--seconds", type=float, help="how long a timed section lasts")
    parser.add_argument("--notes", action="store_true", help="measure nothing: put the notes of notes.py into report.md")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="of report.md and report.svg "
                        f"(default: that of this package after a full run of everything, else {ELSEWHERE})")  # fmt: skip
    options = parser.parse_args(words)
    if options.only is None:
        options.only = ("scale",) if options.scale else MEASURES
    return options


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.lower().split(","))


def _measures(text: str) -> tuple[str, ...]:
    unknown = set(_words(text)) - set(MEASURES)
    if _words(text) == (CACHE,):
        return (CACHE,)
    if CACHE in unknown:
        raise argparse.ArgumentTypeError(f"{CACHE} has a report of its own: measure it alone, with --only {CACHE}")
    if unknown:
        raise argparse.ArgumentTypeError(f"no measure {', '.join(sorted(unknown))}; there are {', '.join((*MEASURES, CACHE))}")
    return _words(text)


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(sorted({int(size.replace("_", "")) for size in text.split(",")}))


def plan_of(options: argparse.Namespace) -> Plan:
    plan = replace(QUICK if options.quick else FULL, peers=options.peers)
    if options.rounds:
        plan = replace(
            plan, rounds=options.rounds, bulk_rounds=options.rounds, array_rounds=options.rounds,
            contention_rounds=options.rounds, synced_rounds=options.rounds, mixed_rounds=options.rounds,
            scale_rounds=options.rounds, starts=options.rounds,
        )  # fmt: skip
    if options.scale:
        plan = replace(plan, sizes=options.scale)
    return replace(plan, seconds=options.seconds) if options.seconds else plan


def output_of(options: argparse.Namespace) -> Path:
    if options.output is not None:
        return Path(options.output)
    whole = (options.quick, options.only, options.peers, options.scale, options.rounds, options.seconds)
    return COMMITTED if whole == (False, MEASURES, (), None, None, None) else ELSEWHERE


@contextmanager
def own_key() -> Iterator[None]:
    """A key of this run's own, found where a user's is found; nobody's own key is touched."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="store-bench-") as folder:
        os.environ["XDG_DATA_HOME"] = folder
        for name in ("STORE_KEY", "STORE_KEY_FILE"):
            os.environ.pop(name, None)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def bench(plan: Plan, measures: tuple[str, ...], output: Path, *, quick: bool = False) -> None:
    """Measure, print, and write report.md and report.svg."""
    start = perf_counter()
    with own_key():
        results = run(plan, measures, _say)
    if budget.rows(results):
        _say(budget.lines(results))
    output.mkdir(parents=True, exist_ok=True)
    took = f"{date.today().isoformat()}, {(perf_counter() - start) / 60:.0f} minutes"
    text = report.lines(results, quick=quick, took=took)
    (output / "report.md").write_text("\n".join(text) + "\n", "utf-8")
    if panels := chart.panels(results):
        (output / "report.svg").write_text(chart.svg(panels), "utf-8")
    _say([f"written to {output}"])


def bench_on_server(options: argparse.Namespace) -> None:
    """Measure the engine of a server; only a full run writes the committed report."""
    measures = import_module(f".{options.engine}.measures", __package__)
    program = import_module(f".{options.engine}.program", __package__)
    plan: RemotePlan = measures.QUICK if options.quick else measures.FULL
    plan = plan._replace(
        sizes=options.scale or plan.sizes, rounds=options.rounds or plan.rounds, peers=tuple(options.peers),
        seconds=options.seconds or plan.seconds,
    )  # fmt: skip
    output = options.output or (COMMITTED if plan == measures.FULL else ELSEWHERE)
    with own_key():
        program.bench(plan, output, _say, quick=options.quick)


def bench_cache(options: argparse.Namespace) -> None:
    """Measure the cache; only a full run, or one of more entries, writes the committed report."""
    from .cache import program

    plan = cache_plan_of(options)
    output = options.output or (COMMITTED if plan.is_whole() else ELSEWHERE)
    with own_key():
        program.bench(plan, output, _say, quick=options.quick)


def cache_plan_of(options: argparse.Namespace) -> CachePlan:
    from .cache import measures

    plan = measures.QUICK if options.quick else measures.FULL
    return plan._replace(
        sizes=options.scale or plan.sizes, rounds=options.rounds or plan.rounds, peers=tuple(options.peers),
        stampedes=options.rounds or plan.stampedes, seconds=options.seconds or plan.seconds,
    )  # fmt: skip


def _say(lines: list[str]) -> None:
    print("\n".join(lines), end="\n\n", flush=True)


def main() -> None:
    options = arguments()
    if options.engine != "sqlite":
        bench_on_server(options)
        return
    if options.only == (CACHE,):
        bench_cache(options)
        return
    if options.notes:
        report_ = (options.output or COMMITTED) / "report.md"
        report_.write_text(notes.rewritten(report_.read_text("utf-8")), "utf-8")
        return
    bench(plan_of(options), options.only, output_of(options), quick=options.quick)


if __name__ == "__main__":
    main()
