"""Writers on one PostgreSQL namespace beside a transaction every 10 ms: `python -m tests.bench.postgres_turns [URL]`.

Without a URL it starts a server of its own. Each round measures the writers alone and beside the transactions, so that
both have the same noise; the share is the median of the rounds. How long the transactions wait for their turn is that
of all rounds.
"""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from store import Store

WRITERS, ROUNDS, SECONDS, EVERY_SECONDS = 8, 5, 3.0, 0.01
LEAST_SHARE = 0.5


def write(url: str, number: int, stop: Any, results: Any) -> None:
    done, longest = 0, 0.0
    with Store[int](url) as s:
        while not stop.is_set():
            began = time.perf_counter()
            s[f"w{number}"] = done = done + 1
            longest = max(longest, time.perf_counter() - began)
    results.put(("write", done, [longest]))


def transact(url: str, stop: Any, results: Any) -> None:
    waits = []
    with Store[int](url) as s:
        while not stop.is_set():
            began = time.perf_counter()
            with s.transaction():
                waits.append(time.perf_counter() - began)
                s["x"] = s.get("x", 0) + 1
            time.sleep(EVERY_SECONDS)
    results.put(("transaction", len(waits), waits))


def measure(url: str, transactions: int) -> tuple[float, float, list[float]]:
    """Writes per second, the longest of them, and how long each transaction waited."""
    stop, results = multiprocessing.Event(), multiprocessing.Queue()
    work = [multiprocessing.Process(target=write, args=(url, number, stop, results)) for number in range(WRITERS)]
    work += [multiprocessing.Process(target=transact, args=(url, stop, results)) for _ in range(transactions)]
    for process in work:
        process.start()
    time.sleep(SECONDS)
    stop.set()
    found = [results.get(timeout=120) for _ in work]
    for process in work:
        process.join()
    writes = [(done, times) for kind, done, times in found if kind == "write"]
    waits = [wait for kind, _, times in found for wait in times if kind == "transaction"]
    return sum(done for done, _ in writes) / SECONDS, max(max(times) for _, times in writes), waits


@contextmanager
def server() -> Iterator[str]:
    """The URL of a server that ends with the block."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "samples"))
    from free_ports import free_port
    from postgres_server import PostgresServer, new_folder, programs

    found = programs()
    if found is None:
        raise SystemExit("no PostgreSQL server is installed: name the URL of one")
    folder = new_folder()
    started = PostgresServer(folder, free_port(), found)
    try:
        started.initialise()
        started.start()
        yield started.url
    finally:
        started.stop(signal.SIGINT)
        shutil.rmtree(folder, ignore_errors=True)


def main(url: str) -> None:
    Store[int](url).close()
    shares, waits = [], []
    for number in range(ROUNDS):
        order = (0, 1) if number % 2 == 0 else (1, 0)
        found = {transactions: measure(url, transactions) for transactions in order}
        shares.append(found[1][0] / found[0][0])
        waits += found[1][2]
        print(f"{found[0][0]:8.0f} writes/s alone, {found[1][0]:8.0f} beside: {shares[-1]:.2f}; longest write "
              f"{found[0][1] * 1000:.0f} and {found[1][1] * 1000:.0f} ms", flush=True)  # fmt: skip
    print(f"share {median(shares):.2f} (at least {LEAST_SHARE}); {len(waits)} transactions waited "
          f"{median(waits) * 1000:.1f} ms, at most {max(waits) * 1000:.0f} ms")  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with server() as own:
            main(own)
