"""A rate limiter: calls of an API by users, counted in windows and throttled; on a clock of its own.

Usage: rate_limiter.py FOLDER
"""

import sys
from pathlib import Path

import diskcache
from diskcache import Averager, Cache, throttle


class Clock:
    """Time for the throttle: sleeping lets it pass."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept = 0.0

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


class Windows:
    """At most `limit` calls of a user in each window of 60 seconds of the clock."""

    def __init__(self, cache: Cache, clock: Clock, limit: int) -> None:
        self.cache, self.clock, self.limit = cache, clock, limit

    def key(self, user: str) -> tuple[str, str, int]:
        return "window", user, int(self.clock.now // 60)

    def allow(self, user: str) -> bool:
        """Count a call, and say whether it may go on."""
        with self.cache.transact():
            used = self.cache.get(self.key(user), default=0)
            if used >= self.limit:
                self.cache.incr(("refused", user))
                return False
            self.cache.set(self.key(user), used + 1, expire=3600, tag="windows")
            return True

    def left(self, user: str) -> int:
        return self.limit - self.cache.get(self.key(user), default=0)


def by_hand(cache: Cache, clock: Clock) -> None:
    """Windows that are counted here."""
    windows = Windows(cache, clock, limit=3)
    for user in ("ann", "bob", "ann", "ann", "ann", "bob", "ann"):
        print(f"  {user}: {'yes' if windows.allow(user) else 'no'}, {windows.left(user)} left")
    clock.sleep(61)
    print("  a minute later ann has", windows.left("ann"), "and asks:", windows.allow("ann"))
    print("  refused", {user: cache.get(("refused", user), 0) for user in ("ann", "bob")})
    print("  windows", sorted(key[1:] for key in cache if isinstance(key, tuple) and key[0] == "window"))
    print("  forgotten", cache.evict("windows"))


def by_throttle(cache: Cache, clock: Clock) -> None:
    """A function that may be called 4 times in 2 seconds, whoever calls it."""
    latency = Averager(cache, "latency")
    start = clock.now

    @throttle(cache, 4, 2, name="api", time_func=clock.time, sleep_func=clock.sleep)
    def call(number: int) -> str:
        latency.add(number / 4)
        return f"{number} at {clock.now - start:.2f}"

    print("  " + ", ".join(call(number) for number in range(9)))
    clock.sleep(100)
    before = clock.slept
    print("  after a pause:", ", ".join(call(number) for number in range(6)))
    print(f"  waited {clock.slept - before:.2f} s, average {latency.get():.3f}, {latency.pop():.3f}, {latency.get()}")


def counters(folder: Path) -> None:
    """Counters with and without a default, in an index that keeps the order."""
    cache = Cache(folder, eviction_policy="none")
    index = diskcache.Index.fromcache(cache)
    for path in ("/", "/a", "/", "/b", "/", "/a"):
        cache.incr(path)
    print("  hits", dict(index), "first", index.peekitem(last=False))
    print("  by hits", sorted(index.items(), key=lambda item: -item[1]))
    try:
        cache.incr("/none", default=None)
    except KeyError as exc:
        print("  no counter", exc)
    print("  down", cache.decr("/", 10), "half", cache.incr("/half", 0.5, default=1))
    cache.close()


def main(folder: Path) -> None:
    clock = Clock()
    with Cache(folder / "limits", eviction_policy="none") as cache:
        print("windows")
        by_hand(cache, clock)
        print("throttle")
        by_throttle(cache, clock)
        print("state", cache["api"][1] < 4, "keys", len(cache))
    print("counters")
    counters(folder / "counters")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
