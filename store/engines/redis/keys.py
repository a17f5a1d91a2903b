"""The keys of a store. All keys of a namespace have one hash tag, so they are in one slot of a cluster.

So are those of namespaces whose names differ only behind their first `#`, such as `users`, `users#notes` and
`users#tags`: these can be changed in one step. That is on the servers' disks: it may not change.

A namespace `users` of a store with the prefix `store:` has these keys:

    store:{=users}:rows      hash: name → packed row
    store:{=users}:order     sorted set: name by id, the order of insertion
    store:{=users}:names     sorted set: names, all with score 0, so in byte order, which is code-point order
    store:{=users}:expiry    sorted set: 8 bytes of the id and the name, by expiry; records with an expiry only
    store:{=users}:changes   stream: what each write changed, of bounded length
    store:{=users}:meta      hash: id of the store, last id, version, bytes of names and rows
    store:{=users}:leases    hash: name → lease of an `edit`
    store:{=users}:accesses  string: notes of the uses of records, as in `store.engines.access_table`

The keys of `users#notes` are `store:{=users}#notes:rows` and so on.

The store itself has `store:{#}:identity`, `store:{#}:spaces` and `store:{#}:sealers`, and a named lock
`store:{@name}:lock`. The sign after the brace keeps the tag from being empty: then it would be none.
"""

from __future__ import annotations

from typing import NamedTuple


class Keys(NamedTuple):
    """The keys of one namespace, in the order in which the scripts take them."""

    rows: bytes
    order: bytes
    names: bytes
    expiry: bytes
    changes: bytes
    meta: bytes
    leases: bytes
    accesses: bytes


def slot_of(namespace: str) -> str:
    """What namespaces in one slot have in common: the beginning of the name, up to its first `#`."""
    return namespace.partition("#")[0]


def keys_of(prefix: str, namespace: str) -> Keys:
    slot = slot_of(namespace)
    base = f"{prefix}{{={slot}}}{namespace[len(slot) :]}:"
    return Keys(*((base + part).encode("utf-8", "surrogatepass") for part in Keys._fields))


class StoreKeys(NamedTuple):
    """The keys of the store itself, all in one slot."""

    identity: bytes
    spaces: bytes
    sealers: bytes


def store_keys(prefix: str) -> StoreKeys:
    return StoreKeys(*(f"{prefix}{{#}}:{part}".encode() for part in StoreKeys._fields))


def lock_key(prefix: str, name: str) -> bytes:
    """The key of a named lock."""
    return f"{prefix}{{@{name}}}:lock".encode("utf-8", "surrogatepass")
