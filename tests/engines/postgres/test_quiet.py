"""The driver's warnings are not printed by a program that configured no logging, and reach one that did."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import psycopg
import pytest
from postgres_server import PostgresServer

from store import Store, StoreError

BEGIN = """
import asyncio, os, sys
import psycopg
from store import AsyncStore, Store, StoreError

url, server = sys.argv[1:]

def end_sessions():
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'ours'"
        )
"""
ENDED_SESSIONS = f"""{BEGIN}
def block(s):
    with s.transaction():
        s["b"] = 1
        end_sessions()
        s["c"] = 2

def at_commit(s):
    with s.transaction():
        s["b"] = 1
        end_sessions()

def large(s):
    with s.transaction():
        s["b"] = 1
        end_sessions()
        s["large"] = bytes(9_000_000)

def nested(s):
    with s.transaction():
        s["b"] = 1
        s.modify("b", lambda value: end_sessions())

with Store(url, timeout=20) as s:
    s.update({{"a": 1, "l": bytes(9_000_000)}})
    for work in (block, at_commit, large, nested):
        try:
            work(s)
        except StoreError:
            print(work.__name__)
    for work in (lambda: s.incr("n"), lambda: s.update({{"a": 1}}), lambda: s["l"], lambda: list(s.items())):
        end_sessions()
        work()
"""
EVENT_LOOP = f"""{BEGIN}
async def main():
    async with AsyncStore(url, timeout=20) as s:
        for value in (1, 2, bytes(9_000_000)):
            await s.put("a", value)
            end_sessions()
        try:
            async with s.transaction():
                await s.put("a", 3)
                end_sessions()
                await s.put("a", 4)
        except StoreError:
            print("block")
        task = asyncio.create_task(s.put("a", 5))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    left = AsyncStore(url)
    await left.open()
    await left.put("a", 1)

asyncio.run(main())
"""
LEFT_OPEN = f"""{BEGIN}
left = Store(url)
left.update({{str(number): number for number in range(600)}})
watch, lock, iterator = left.watch(), left.lock("job"), iter(left.items())
lock.acquire()
next(iterator)
block = left.transaction()
block.__enter__()
left["a"] = 2
if (child := os.fork()) == 0:
    Store(url, namespace="child")["b"] = 1
    sys.exit(0)
print(os.waitpid(child, 0)[1])
"""
PROGRAMS = {
    "ended sessions": (ENDED_SESSIONS, "block\nat_commit\nlarge\nnested\n"),
    "event loop": (EVENT_LOOP, "block\n"),
    "left open": (LEFT_OPEN, "0\n"),
}


@pytest.mark.parametrize("what", PROGRAMS)
def test_program_prints_nothing_of_the_driver(postgres: PostgresServer, postgres_url: str, what: str) -> None:
    program, printed = PROGRAMS[what]
    command = [sys.executable, "-c", program, f"{postgres_url}&application_name=ours", postgres.url]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr, done.returncode) == (printed, "", 0)


def test_program_that_handles_the_drivers_log_gets_all_of_it(
    postgres: PostgresServer, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Store[Any](f"{postgres_url}&application_name=ours", timeout=20) as s:
        s["a"] = 1
        with caplog.at_level(logging.WARNING, "psycopg"), pytest.raises(StoreError), s.transaction():
            s["a"] = 2
            with psycopg.connect(postgres.url, autocommit=True) as conn:
                conn.execute(
                    "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'ours'"
                )
    assert [record.name for record in caplog.records] == ["psycopg"]
