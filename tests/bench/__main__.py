"""`python -m tests.bench`: see the docstring of the package."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from . import operations
from .plan import FULL, QUICK, Plan
from .tables import table

MEASURES = tuple(operations.TITLES)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under two minutes, with less precision")
    parser.add_argument("--only", type=_words, default=MEASURES, metavar="MEASURE,…", help=", ".join(MEASURES))
    parser.add_argument("--peers", type=_words, default=(), metavar="PEER,…", help="beginnings of the names")
    parser.add_argument("--rounds", type=int, help="timed sections of each peer")
    parser.add_argument("--seconds", type=float, help="how long a timed section lasts")
    return parser.parse_args()


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.lower().split(","))


def plan_of(options: argparse.Namespace) -> Plan:
    plan = replace(QUICK if options.quick else FULL, peers=options.peers)
    if options.rounds:
        plan = replace(plan, rounds=options.rounds, bulk_rounds=options.rounds)
    return replace(plan, seconds=options.seconds) if options.seconds else plan


@contextmanager
def own_key() -> Iterator[None]:
    """A key of this run's own, found where a user's is found; nobody's own key is touched."""
    for name in ("STORE_KEY", "STORE_KEY_FILE"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="store-bench-") as folder:
        os.environ["XDG_DATA_HOME"] = folder
        yield


def main() -> None:
    options = arguments()
    plan = plan_of(options)
    with own_key():
        for name in options.only:
            outcome = operations.measure(name, plan)
            print(f"\n### {outcome.title}\n")
            print("\n".join(table(outcome)), flush=True)


if __name__ == "__main__":
    main()
