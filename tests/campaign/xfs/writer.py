"""writer PATH NAME SYNCS COUNTERS: counts up one record with durability="full" until the disk goes.

Counters, 64 bits each: the last value that was acknowledged; acknowledgements with no sync that returned since the one
before. Both files are outside of the file system that goes.
"""

from __future__ import annotations

import mmap
import os
import sys

from store import Store
from store.errors import StoreError


def shared(path: str) -> memoryview:
    with open(path, "r+b") as stream:
        return memoryview(mmap.mmap(stream.fileno(), 0)).cast("l")


def main(path: str, name: str, syncs: str, counters: str) -> None:
    returned, told = shared(syncs), shared(counters)
    store = Store(path, durability="full", timeout=30)
    print("ready", flush=True)
    before = returned[0]
    for value in range(1, sys.maxsize):
        try:
            store[name] = value
        except StoreError:
            os._exit(0)
        told[1] += returned[0] == before
        before = returned[0]
        told[0] = value


if __name__ == "__main__":
    main(*sys.argv[1:])
