"""A program whose worker, started afresh, stores instances of the program's own classes.

    python worker_classes.py METHOD PATH      METHOD: spawn or forkserver
"""

from __future__ import annotations

import enum
import multiprocessing
import sys
from dataclasses import dataclass

from store import Store

TIMEOUT = 50.0  # seconds


@dataclass
class Point:
    x: int = 0

    class Inner:
        pass


class Colour(enum.Enum):
    RED = 1


def function() -> None:
    pass


def work(path: str) -> None:
    with Store(path) as s:
        for round_ in range(2):  # a name that was given in the first is kept
            s["point"] = Point(round_)
            s.put("old protocol", Point(round_), protocol=2)
            s["all"] = [Point(1), Point.Inner(), Colour.RED, function, Point, bytes(200_000)]
        s["text"] = "__mp_main__"
        check(s)


def check(s: Store) -> None:
    point, inner, colour, found, cls, _ = s["all"]
    assert s["point"] == Point(1) and s["old protocol"] == point == Point(1), dict(s)
    assert type(inner) is Point.Inner and colour is Colour.RED and found is function and cls is Point


if __name__ == "__main__":
    worker = multiprocessing.get_context(sys.argv[1]).Process(target=work, args=(sys.argv[2],))
    worker.start()
    worker.join(TIMEOUT)
    assert worker.exitcode == 0, worker.exitcode
    with Store(sys.argv[2]) as s:
        check(s)
