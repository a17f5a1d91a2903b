"""Being told of changes that another process makes, in a `for` loop and in an event loop.

Run it from anywhere:

    python examples/watch.py
"""

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

from store import Store

WORKER = """
import sys
from store import Store

def told():
    sys.stdin.readline()  # the other side has seen it

with Store(sys.argv[1]) as s:
    s["job:1"] = "waiting"; told()
    s["job:1"] = "running"; told()
    s.update({"other": 1, "job:2": "waiting"}); told()  # "other" is not watched
    del s["job:1"]; told()
    s.touch("job:2", ttl=0.1)
"""


def watch_a_process(s: Store) -> None:
    """What was set, deleted or has expired, as it comes; it ends with the last one."""
    with s.watch(prefix="job:", timeout=30) as changes:
        print("watching")
        worker = subprocess.Popen([sys.executable, "-c", WORKER, s.location], stdin=subprocess.PIPE, text=True)
        for change in changes:
            about = "" if change.record is None else f"revision {change.record.revision}"
            print(f"{change.kind:<8} {change.name}  {about}".rstrip())
            if change.kind == "expired":
                break
            if worker.poll() is None:
                print(file=worker.stdin, flush=True)
        worker.communicate(timeout=60)
    print("nothing more")


async def watch_in_a_loop(s: Store) -> None:
    """`async for` on the same object; other tasks go on."""
    turns = 0

    async def work() -> None:
        nonlocal turns
        for _ in range(10):
            turns += 1
            await asyncio.sleep(0)
        s["job:3"] = "waiting"

    async with asyncio.TaskGroup() as group:
        async with s.watch(["job:3"], timeout=30) as changes:
            group.create_task(work())
            async for change in changes:
                print(f"in an event loop: {change.kind} {change.name}, beside which {turns} other things were done")
                break


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder, "jobs.db")) as store:
        watch_a_process(store)
        asyncio.run(watch_in_a_loop(store))
