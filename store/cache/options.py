"""The options of `Cache`: its bounds, checked, and those that it hands on to the `Store` that it opens."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias, get_args

from store.codecs import CodecChoice
from store.opened.options import OpeningOptions

Policy: TypeAlias = Literal["lru", "lfu", "lrw", "fifo", "none"]

POLICIES: tuple[str, ...] = get_args(Policy)
DEFAULT_BYTES = 2**30
LEAST_BYTES = 2**18  # an SQLite file without records takes 100 kB
USUAL_RECORD_BYTES = 1024  # to guess how many records there will be


class CacheOptions(OpeningOptions, total=False):
    """Options of `Cache` that are those of the `Store` below it; see there."""

    codec: CodecChoice


class AdapterOptions(CacheOptions, total=False):
    """Those that an adapter of a framework hands on to `Cache`."""

    shards: int


class Bounds(NamedTuple):
    """How large a cache may become, and which records go first."""

    max_bytes: int | None = DEFAULT_BYTES
    max_records: int | None = None
    policy: Policy = "lru"
    cull_records: int = 0

    def checked(self) -> Bounds:
        """These bounds. Raises: TypeError, ValueError."""
        _check_bound(self.max_bytes, "max_bytes", LEAST_BYTES)
        _check_bound(self.max_records, "max_records", 1)
        if self.policy not in POLICIES:
            raise ValueError(f"unknown policy {self.policy!r}: one of {', '.join(POLICIES)}")
        _check_bound(self.cull_records, "cull_records", 0)
        if self.cull_records > (self.max_records or 0):
            raise ValueError(f"cull_records is a number from 0 to max_records, not {self.cull_records}")
        return self

    def of_shard(self, index: int, shards: int, *, together: bool) -> Bounds:
        """The bounds of one of several shards: its share of the records, and of the bytes.

        `together`: the engine counts the bytes of all shards at once, which the bound of all is compared with.

        Raises: ValueError: there is less than a record or `LEAST_BYTES` for each.
        """
        if self.max_records is not None and self.max_records < shards:
            raise ValueError(f"max_records is divided among the {shards} shards: a number from {shards} up")
        if together or self.max_bytes is None:
            most = self.max_bytes
        elif (most := self.max_bytes // shards) < LEAST_BYTES:
            least = shards * LEAST_BYTES
            raise ValueError(f"max_bytes is divided among the {shards} shards: a number from {least} up")
        records = None if self.max_records is None else _share(self.max_records, index, shards)
        return self._replace(
            max_bytes=most, max_records=records, cull_records=_share(self.cull_records, index, shards)
        )

    def expected_records(self) -> int:
        """About how many records the cache will have."""
        by_bytes = 2**20 if self.max_bytes is None else self.max_bytes // USUAL_RECORD_BYTES
        return by_bytes if self.max_records is None else min(self.max_records, by_bytes)


def _share(number: int, index: int, shards: int) -> int:
    """What one of the shards has of a number: the first ones have what is left over."""
    return number // shards + (index < number % shards)


def _check_bound(bound: int | None, what: str, least: int) -> None:
    if bound is None:
        return
    if isinstance(bound, bool) or not isinstance(bound, int):
        raise TypeError(f"{what} is a whole number, or None for no bound, not {bound!r:.80}")
    if bound < least:
        raise ValueError(f"{what} is a number from {least} up, or None for no bound, not {bound}")


def check_early(early: float) -> float:
    """The factor of early recomputation. Raises: TypeError, ValueError."""
    if isinstance(early, bool) or not isinstance(early, int | float):
        raise TypeError(f"early is a number from 0 up, such as 1.0, not {early!r:.80}")
    if not 0 <= early < float("inf"):
        raise ValueError(f"early is a number from 0 up: 0 is never early, 1.0 is usual; not {early!r}")
    return early
