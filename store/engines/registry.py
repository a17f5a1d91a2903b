"""The functions of each engine: open, restore, destroy and recover a store, recognise its own files.

All of it is registered by the scheme of the engine's URLs, as "module:name", and imported when it is first used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from store.errors import Unsupported
from store.system.registry import Registry

T = TypeVar("T")

engines = Registry("engine")
"""URL scheme → `open(location, *, mode, timeout, durability, rights=None)`, which returns an `Engine`."""
file_schemes = ("sqlite", "memory")
"""The schemes whose URLs have a path of this machine behind them; the others name a server."""
awaited_schemes = ("postgresql",)
"""The schemes whose engines, opened in a greenlet of an event loop, wait by `store.system.awaiting`."""
engines.register("sqlite", "store.engines.sqlite.backend:open_sqlite")
engines.register("memory", "store.engines.memory.engine:open_memory")
engines.register(
    "postgresql", "store.engines.postgres.engine:open_postgres", install="'psycopg[binary]' psycopg-pool"
)  # the extra "postgres"
restorers = Registry("engine")
"""URL scheme of the target → `restore(backup, location, *, check_of, progress, timeout)`, which returns a `Copy` and
whether a store was replaced. `check_of` makes the `check` of `Care.backup` from the id of the store."""
restorers.register("sqlite", "store.engines.sqlite.care.restore:restore")
restorers.register("postgresql", "store.engines.postgres.restore:restore", install="psycopg psycopg_pool")

destroyers = Registry("engine")
"""URL scheme → `destroy(location)`, which raises as `store.care.destroy`."""
destroyers.register("sqlite", "store.engines.sqlite.care.destroy:destroy")
destroyers.register("postgresql", "store.engines.postgres.destroy:destroy", install="psycopg psycopg_pool")

for _scheme in ("redis", "rediss", "valkey", "valkeys"):
    engines.register(_scheme, "store.engines.redis.opening:open_redis", install="redis")
    restorers.register(_scheme, "store.engines.redis.restore:restore", install="redis")
    destroyers.register(_scheme, "store.engines.redis.destroy:destroy", install="redis")

recoverers = Registry("engine")
"""URL scheme → `recovering(source, target)`, a context manager that gives a `DamagedStore`."""
recoverers.register("sqlite", "store.engines.sqlite.salvage.recovering:recovering")

file_formats = Registry("engine")
"""URL scheme → `FileFormat`, of the engines that keep a store in a file."""
file_formats.register("sqlite", "store.engines.sqlite.opening.file_format:file_format")

in_transaction: list[Callable[[], bool]] = []
"""One function of each imported engine: whether the caller is in a transaction of any of its open stores."""


def is_in_transaction() -> bool:
    """Whether the caller is in a transaction of any store of this process, whatever its engine."""
    return any(ask() for ask in in_transaction)


ELSEWHERE = "keep what needs it in a store on another engine"
ONE_NAMESPACE = f"keep records that change together in one namespace, or {ELSEWHERE}"


def supported(capability: T | None, engine: str, feature: str, instead: str = ELSEWHERE) -> T:
    """The capability, if it is not None. Raises: Unsupported: the engine of that name does not have the feature.

    `instead`: what the program may do, for the message.
    """
    if capability is None:
        raise Unsupported(
            f"the engine {engine!r} does not have {feature}; {instead}",
            engine=engine,
            feature=feature,
        )
    return capability
