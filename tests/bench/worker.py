"""One process of the contention trials: writes, or reads, until the time is over.

    python -m tests.bench.worker LABEL FOLDER ROLE NUMBER SECONDS LATENCIES

It says `ready`, waits for a line, works, and prints how many operations it did; how long each took is in the file
LATENCIES, as doubles.
"""

from __future__ import annotations

import json
import random
import signal
import sys
from array import array
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from .peers import Peer
from .peers.roster import EVERYBODY
from .session import session

NAMES = 100  # of each writer
LIMIT_SECONDS = 60  # beyond its time: more than a fair wait for the file


def name_of(writer: int, number: int) -> str:
    return f"writer-{writer}:{number % NAMES}"


def main() -> None:
    label, folder, role, number, seconds, latencies = sys.argv[1:]
    signal.alarm(int(float(seconds)) + LIMIT_SECONDS)  # one that hangs as it opens ends by itself
    (kind,) = (kind for kind in EVERYBODY if kind.label == label)
    peer = kind.open(Path(folder))
    operation = (_writing if role == "write" else _reading)(peer, int(number))
    operation(0)  # the first one opens and imports what is opened and imported late
    print("ready", flush=True)
    sys.stdin.readline()
    took = array("d")
    error = ""
    try:
        _work(operation, float(seconds), took)
        peer.flush()
        peer.close()
    except Exception as exc:  # whatever a library raises when it cannot be shared is its result
        error = type(exc).__name__
    with open(latencies, "wb") as file:
        took.tofile(file)
    print(json.dumps({"done": len(took), "error": error}), flush=True)


def _work(operation: Callable[[int], None], seconds: float, took: array[float]) -> None:
    number, now = 0, perf_counter()
    end = now + seconds
    while now < end:
        operation(number)
        after = perf_counter()
        took.append(after - now)
        number, now = number + 1, after


def _writing(peer: Peer, writer: int) -> Callable[[int], None]:
    set_ = peer.set

    def write(number: int) -> None:
        set_(name_of(writer, number), session(number))

    return write


def _reading(peer: Peer, reader: int) -> Callable[[int], None]:
    """Names of the first writer, which are there from the start."""
    get, pick = peer.get, random.Random(reader).randrange

    def read(number: int) -> None:
        get(name_of(0, pick(NAMES)))

    return read


if __name__ == "__main__":
    main()
