"""A search over parameters: tuples as keys, objects as results, interrupted and resumed, the best of it reported.

    python grid.py FOLDER
"""

import itertools
import sys
from dataclasses import dataclass, field
from pathlib import Path

import sqlitedict


@dataclass
class Result:
    """One trial."""

    rate: float
    depth: int
    loss: float
    history: list = field(default_factory=list)

    def __lt__(self, other):
        return self.loss < other.loss


class Interrupted(Exception):
    """The machine went down."""


def trial(rate, depth):
    """A made-up training: the loss is a bowl around rate 0.1 and depth 3."""
    loss, history = 10.0, []
    target = (rate - 0.1) ** 2 * 100 + (depth - 3) ** 2
    for _ in range(5):
        loss = round((loss + target) / 2, 6)
        history.append(loss)
    return Result(rate, depth, loss, history)


def table(path, **options):
    return sqlitedict.SqliteDict(
        path, "trials", encode_key=sqlitedict.encode_key, decode_key=sqlitedict.decode_key, outer_stack=False, **options
    )


def search(path, rates, depths, stop_after=None):
    """Runs the trials that are not there yet; every third one commits."""
    done = 0
    with table(path) as results:
        for rate, depth in itertools.product(rates, depths):
            if (rate, depth) in results:
                continue
            results[rate, depth] = trial(rate, depth)
            done += 1
            if done % 3 == 0:
                results.commit()
            if done == stop_after:
                raise Interrupted
        results.commit()
    return done


def main(folder):
    path = str(Path(folder, "grid.sqlite"))
    rates, depths = (0.01, 0.1, 0.5), (1, 2, 3, 4)
    try:
        search(path, rates, depths, stop_after=7)
    except Interrupted:
        print("interrupted")
    with table(path, flag="r") as results:
        print("kept:", len(results), list(results))
    print("run again:", search(path, rates, depths))
    print("and again:", search(path, rates, depths))

    with table(path) as results:
        best = min(results.values())
        print("best:", best)
        print("keys:", sorted(results.keys()) == sorted(itertools.product(rates, depths)))
        for key, result in results.items():
            if result.loss > 1.5:
                del results[key]
        results["best"] = (best.rate, best.depth)
        results[None] = "any pickle is a key"
        results.commit()
        print("left:", len(results), results["best"], results[None])
    with table(path, autocommit=True) as results:
        for key in results:
            if isinstance(key, tuple):
                result = results[key]
                result.history.clear()
                results[key] = result
        print("order:", list(results))
        print("default:", results.get((9, 9)), results.pop((9, 9), "none"))


main(sys.argv[1])
