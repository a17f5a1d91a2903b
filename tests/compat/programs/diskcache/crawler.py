"""A crawler: processes take pages from a queue in a cache, and put the links of each page back.

Usage: crawler.py FOLDER
"""

import multiprocessing
import sys
import time
from pathlib import Path

import diskcache

PAGES = 60
WORKERS = 3
FRONTIER = "frontier"


def links_of(page: int) -> list[int]:
    """What a page of this made-up site links to."""
    return sorted({page * 2 % PAGES, (page * 3 + 1) % PAGES, (page + 7) % PAGES})


def fetch(page: int) -> bytes:
    """The body of a page; every tenth one is large."""
    return f"<page {page}>".encode() * (5000 if page % 10 == 0 else 1)


def schedule(cache: diskcache.Cache, page: int, depth: int) -> None:
    """Put a page into the queue, unless somebody has."""
    with cache.transact(retry=True):
        if cache.add(("seen", page), depth, retry=True):
            cache.push((page, depth), prefix=FRONTIER, tag="crawl", retry=True)
            cache.incr("pending", retry=True)


def visit(cache: diskcache.Cache, page: int, depth: int) -> None:
    """Fetch a page, keep it, and schedule what it links to."""
    body = fetch(page)
    for link in links_of(page):
        schedule(cache, link, depth + 1)
    cache.set(("page", page), body, tag=f"size:{len(body) > 1000}", retry=True)
    cache.incr("bytes", len(body), retry=True)
    cache.decr("pending", retry=True)


def work(folder: str) -> None:
    """One process: until no page is left, nor any that another process may still find."""
    with diskcache.Cache(folder) as cache:
        while cache.get("pending", retry=True):
            _, job = cache.pull(prefix=FRONTIER, retry=True)
            if job is None:
                time.sleep(0.01)
                continue
            visit(cache, *job)


def report(cache: diskcache.Cache) -> None:
    """Print what the crawl found."""
    seen = sorted(key[1] for key in cache if isinstance(key, tuple) and key[0] == "seen")
    print("seen", len(seen), "of", PAGES, "first", seen[:5], "last", seen[-5:])
    print("pages kept", sum(1 for key in cache if isinstance(key, tuple) and key[0] == "page"))
    print("bytes", cache["bytes"], "pending", cache["pending"])
    print("page 10 begins", cache["page", 10][:9], "and has", len(cache["page", 10]), "bytes")
    print("depth of the start", cache["seen", 1], "and all are below", max(cache["seen", page] for page in seen) < PAGES)
    print("queue is empty:", cache.pull(FRONTIER), cache.peek(FRONTIER, side="back"))


def main(folder: Path) -> None:
    with diskcache.Cache(folder / "crawl", eviction_policy="none", size_limit=10**8) as cache:
        schedule(cache, 1, 0)
        print("first job", cache.peek(FRONTIER))
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=work, args=(str(folder / "crawl"),)) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print("exit codes", [worker.exitcode for worker in workers])
    with diskcache.Cache(folder / "crawl") as cache:
        print("policy", cache.eviction_policy, "limit", cache.size_limit)
        report(cache)
        print("large pages evicted", cache.evict("size:True"))
        print("page 10 is", cache.get(("page", 10), default="gone"), "page 11 is", cache["page", 11])
        print("check", cache.check())
        print("cleared", cache.clear(), "left", len(cache))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
