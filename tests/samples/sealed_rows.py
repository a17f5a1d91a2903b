"""Rows as the layers above an engine make them; the seal depends on what a seal covers."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any
from zlib import crc32

from store.engines.contract import Engine, Fields, Order
from store.rows.row import Row

NOW = 1_800_000_000.0
KEY = b"thekeyid"


def row(name: str, body: bytes = b"1", *, namespace: str = "", expires: float | None = None, at: float = NOW) -> Row:
    digest = blake2b(repr((namespace, name, expires, body)).encode(), digest_size=16).digest()
    return Row(
        None, namespace, name, "json", 1, "builtins.int", "3.12", body, None, KEY + digest, crc32(body), 1, at, at, expires
    )


def all_of(engine: Engine, namespace: str | None = "", order: Order = Order.INSERTED, **how: Any) -> list[Any]:
    """What a scan comes upon, page by page."""
    found, after, pages = [], how.pop("after", None), 0
    while True:
        page = engine.scan(namespace, order, after=after, **how)
        found += page.items
        pages += 1
        assert pages < 10_000
        if page.next is None:
            return found
        after = page.next


def names(engine: Engine, order: Order = Order.INSERTED, **how: Any) -> list[str]:
    return [item.name for item in all_of(engine, how.pop("namespace", ""), order, **how)]


def body(engine: Engine, name: str, namespace: str = "") -> bytes | None:
    found = engine.get(namespace, [name]).get(name)
    return None if found is None else found.body


def stamp(engine: Engine, name: str) -> str:
    return engine.get("", [name], Fields.HEADER)[name].stamp
