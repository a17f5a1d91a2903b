"""A bounded cache that several processes share: tags, figures, eviction, and values computed once for all.

Run it from anywhere:

    python examples/cache.py
"""

import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from store.cache import Cache

OTHER = """
import sys
from store.cache import Cache

with Cache(sys.argv[1]) as cache:
    report = cache.get_or_compute("report", lambda: sys.exit("this is never run"))
    print("another process:", report)
"""


def pages(cache: Cache[str]) -> None:
    """Pages of a site: by user, so that all of a user's pages can be dropped at once."""
    cache.set("page:1", "<h1>Ann</h1>", ttl=60, tag="user:ann")
    cache.set("page:2", "<h1>Ann's photos</h1>", ttl=60, tag="user:ann")
    cache.set("page:3", "<h1>Bob</h1>", ttl=60, tag="user:bob")
    print("found:", cache.get("page:1"), "and not found:", cache.get("page:9"))
    print("ann changed her name:", cache.evict("user:ann"), "pages dropped, left:", list(cache))
    print("visits:", cache.incr("visits"), cache.incr("visits", 10))


def report(cache: Cache[str], path: Path) -> None:
    """A value that is slow to make: one of many threads and processes makes it."""
    made = []

    def make() -> str:
        made.append(threading.current_thread().name)
        return "42 sales"

    def ask() -> None:
        cache.get_or_compute("report", make, ttl=600, early=1.0)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(len(threads), "threads:", len(made), "of them computed")
    subprocess.run([sys.executable, "-W", "error", "-c", OTHER, path], check=True)


def prices(cache: Cache[str]) -> None:
    """The results of a function are records of the cache, too."""

    @cache.memoize(ttl=3600, tag="prices")
    def price(product: str) -> str:
        print("looking up", product)
        return f"{product}: {len(product)} euros"

    print([price("tea"), price("tea"), price("cups")])
    print("new prices:", cache.evict("prices"), "forgotten")


def full(path: Path) -> None:
    """What was used stays, what was not used goes."""
    with Cache[int](path, max_records=100, policy="lru") as cache:
        cache.clear()
        cache.reset_stats()
        for number in range(1000):
            cache[f"square:{number}"] = number * number
            cache.get("square:0")
        stats = cache.stats()
        print(f"{stats.records} records, {stats.evictions} evicted, square:0 is there: {'square:0' in cache}")
        print(f"hits {stats.hits}, misses {stats.misses}, bytes below 1 MB: {stats.bytes < 1_000_000}")


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # in order with what the other process prints
    with tempfile.TemporaryDirectory() as folder:
        location = Path(folder, "cache.db")
        with Cache[str](location, max_bytes=100 * 2**20, ttl=3600) as opened:
            pages(opened)
            report(opened, location)
            prices(opened)
        full(location)
