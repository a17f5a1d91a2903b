"""Results that are computed once: for all calls, threads, tasks and processes, until they are forgotten.

Run it from anywhere:

    python examples/memo.py
"""

import asyncio
import logging
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from store.memo import memo

OTHER = """
import sys
from store.memo import memo

@memo(sys.argv[1], name="letters", ignore=("log",), source=False)
def letters(city, *, log=None):
    raise SystemExit("this is never run")

print("another process:", repr(letters("Oslo")))
"""


def main(path: Path) -> None:
    # The name, without the code, lets the other process share its results.
    @memo(path, ttl=3600, ignore=("log",), name="letters", source=False)
    def letters(city: str, *, log: logging.Logger | None = None) -> str:
        print("computing", city)
        return f"{city}: {len(city)} letters"

    calls = [letters("Oslo"), letters(city="Oslo"), letters("Oslo", log=logging.getLogger())]
    calls += [letters("Bergen"), letters("Bergen")]
    print(len(calls), "calls:", sorted(set(calls)))
    info = letters.cache_info()
    print(f"hits={info.hits} misses={info.misses} stored={info.stored}")

    computed = []

    @memo(path)
    def slow(x: int) -> int:
        computed.append(threading.current_thread().name)
        return x * x

    threads = [threading.Thread(target=slow, args=(12,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(len(threads), "threads:", len(computed), "of them computed")

    @memo(path)
    async def fetch(x: int) -> int:
        computed.append(x)
        await asyncio.sleep(0)
        return x + 1

    async def tasks() -> list[int]:
        return await asyncio.gather(fetch(1), fetch(1), fetch(1), fetch(1))

    computed.clear()
    print(len(asyncio.run(tasks())), "tasks:", len(computed), "of them computed")

    subprocess.run([sys.executable, "-W", "error", "-c", OTHER, path], check=True)
    print(
        f"forgotten: {letters.forget('Oslo')}, and all others:", sum(f.forget_all() for f in (letters, slow, fetch))
    )
    letters.close()


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # in order with what the other process prints
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder, "cache.db"))
