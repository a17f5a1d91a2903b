"""Crashes, power cuts, failing calls and damage, for hours; see tests/campaign/__init__.py."""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from . import rounds, table
from .campaign import SEED_BITS, Campaign
from .promises import PROMISES
from .trial import Promise

COMMITTED = Path(__file__).parent  # where the README looks; only a campaign of an hour over everything writes there unasked
ELSEWHERE = Path("build", "crash")
KEPT = ELSEWHERE / "failures"  # what rounds with failures leave behind


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--hours", type=float, help="how long rounds are begun")
    parser.add_argument("--only", type=_keys, default=PROMISES, metavar="NAME,…", help="these promises")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="rounds at a time (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="of the campaign's seeds, or of the one round (default: random)")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help=f"of {table.FIGURES} and {table.TABLE} (default: "
                        f"that of this package after an hour of everything, else {ELSEWHERE})")  # fmt: skip
    parser.add_argument("--again", action="store_true", help="put the figures of --only, which was mended, in place of those "
                        "of the campaign before, in --output (default: where the README looks); the table says so")  # fmt: skip
    parser.add_argument("--list", action="store_true", help="the names of the promises")
    parser.add_argument("--round", type=_key, metavar="NAME", help="one round; with --seed, one that was before")
    parser.add_argument("--folder", type=Path, help="do the round in this process, in that new folder, with its home")
    options = parser.parse_args(words)
    if not (options.list or options.round) and options.hours is None:
        parser.error("say for how long: --hours 1; or --list, or --round NAME")
    if options.seed is None:
        options.seed = random.SystemRandom().getrandbits(SEED_BITS)
    return options


def _key(text: str) -> Promise:
    for promise in PROMISES:
        if promise.key == text:
            return promise
    raise argparse.ArgumentTypeError(f"no promise {text!r}; there are {', '.join(p.key for p in PROMISES)}")


def _keys(text: str) -> tuple[Promise, ...]:
    return tuple(_key(word) for word in text.split(","))


def output_of(options: argparse.Namespace) -> Path:
    if options.output is not None:
        return Path(options.output)
    return COMMITTED if options.again or (options.hours >= 1 and options.only == PROMISES) else ELSEWHERE


def campaign(options: argparse.Namespace) -> int:
    """The exit code: 1 where something failed or was not tried."""
    from ..bench.machine import without_peers  # here: for pytest this package has none around it

    output, begun = output_of(options), time.monotonic()
    runs = Campaign(options.only, options.seed, KEPT)
    _say(f"seed {options.seed}, {options.jobs} rounds at a time, written to {output}")

    def written() -> None:
        hours = round((time.monotonic() - begun) / 3600, 2)
        run = table.Run(date.today().isoformat(), options.seed, hours, options.jobs, without_peers(),
                        list(runs.tallies.values()))  # fmt: skip
        table.write(output, table.read(output).with_again(run) if options.again else run)

    try:
        runs.run(options.hours * 3600, options.jobs, _say)
    finally:
        written()
    for tally in runs.tallies.values():
        _say(f"{tally.key:<14} {tally.trials:>9,} {tally.unit:<12} {len(tally.failures)} failed, {tally.rounds} rounds")
    found = table.problems(runs.tallies.values())
    _say("\n".join(found) or "all promises held")
    return 1 if found else 0


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    options = arguments()
    if options.list:
        _say("\n".join(f"{promise.key:<14} {promise.promise}" for promise in PROMISES))
        return 0
    if options.round is not None and options.folder is not None:
        rounds.report(options.round.run(random.Random(options.seed), options.folder))
        return 0
    if options.round is not None:
        result = rounds.run_apart(options.round, options.seed, KEPT)
        _say(f"seed {options.seed}: {result.trials} {options.round.unit}, {len(result.failures)} failed {result.skipped}")
        _say("\n".join(result.failures))
        return 1 if result.failures else 0
    return campaign(options)


if __name__ == "__main__":
    sys.exit(main())
