"""A store for the tasks of an event loop: they share it, wait for each other's transactions, and may be cancelled.

Run it from anywhere:

    python examples/aio.py
"""

import asyncio
import tempfile
from pathlib import Path

from store.aio import AsyncSessions, AsyncStore


async def visit(s: AsyncStore) -> None:
    """Read, change, write back: `edit` is one step, and no other task comes between."""
    for _ in range(10):
        async with s.edit("visits") as visits:
            visits["count"] += 1


async def transfer(s: AsyncStore, amount: int, approved: asyncio.Event) -> None:
    """Both accounts, or neither; inside, the task may wait for whatever it likes."""
    async with s.transaction():
        await s.set("alice", await s.getitem("alice") - amount)
        await s.set("unfinished", True)
        await approved.wait()
        await s.set("bob", await s.getitem("bob") + amount)
        await s.delete("unfinished")


async def watch(s: AsyncStore, watching: asyncio.Event) -> None:
    async with s.watch(["alice", "bob"], timeout=30) as changes:
        watching.set()
        seen = [await anext(changes), await anext(changes)]
    print("seen while it happened:", ", ".join(f"{change.kind} {change.name}" for change in seen))


async def shop(sessions: AsyncSessions, id: str, item: str) -> None:
    """Two requests of one visitor at once: each `edit` of the session is a step of its own."""
    async with sessions.edit(id) as data:
        data["cart"].append(item)


async def main(path: Path) -> None:
    async with AsyncStore(path) as s:
        await s.update(alice=100, bob=50, visits={"count": 0})
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(visit(s))
        print((await s.getitem("visits"))["count"], "visits, counted by 10 tasks")

        never, approved, watching = asyncio.Event(), asyncio.Event(), asyncio.Event()
        slow = asyncio.create_task(transfer(s, 30, never))
        for _ in range(100):
            await asyncio.sleep(0)
        print("beside a slow transaction the loop went on:", not slow.done())
        slow.cancel()
        print("cancelled half-way, nothing is left of it:", await s.names())

        watcher = asyncio.create_task(watch(s, watching))
        await watching.wait()
        approved.set()
        await transfer(s, 30, approved)
        balances = await s.get_many(["alice", "bob"])
        print("alice has {alice} and bob {bob}".format(**balances))
        await watcher

    async with AsyncSessions(path, ttl=3600) as sessions:
        id = await sessions.create({"cart": []})
        await asyncio.gather(shop(sessions, id, "tea"), shop(sessions, id, "cups"))
        print("in the cart of the session:", await sessions.load(id))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder, "bank.db")))
