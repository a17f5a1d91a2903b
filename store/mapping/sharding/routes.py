"""To which shard a name belongs, and the names of the shards' namespaces. All of it is on disk: do not change it.

The shard of a name is the BLAKE2b-64 of its routing key, as a number modulo the number of shards. The routing key is
the name itself, or the part of it that is the same for all records that change together:

| kind | record | routing key |
|---|---|---|
| "sessions" | a session | its user's tag; without one, its name |
| "cache", "memo" | a value, or the exception of a call (`name:raised`) | the name without `:raised` |

The shards of `sessions` with `shards=4` are the namespaces `sessions[4.0]` to `sessions[4.3]`, so two layouts have no
namespace in common. In a Redis cluster the slots of such names lie apart: of eight shards or more, each of three or
six nodes has some.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["sessions", "cache", "memo"]

MOST = 1024  # shards; each is an open namespace
RAISED = ":raised"  # ends the name of the record of an exception
COMPANIONS = ("", "#notes", "#tags")  # what the namespaces of a cache end with: its records, notes, and lists of tags
_PERSON = b"store.shards.v1"
_SHARD = re.compile(r"(.*)\[([1-9]\d*)\.(0|[1-9]\d*)\](#notes|#tags)?", re.DOTALL | re.ASCII)


class Shard(NamedTuple):
    """What the name of a shard's namespace says."""

    namespace: str
    shards: int
    number: int
    companion: str


def check_shards(shards: int) -> int:
    """The number of shards. Raises: TypeError, ValueError."""
    if isinstance(shards, bool) or not isinstance(shards, int):
        raise TypeError(f"shards is a whole number, not {shards!r:.80}")
    if not 1 <= shards <= MOST:
        raise ValueError(f"shards is a number from 1 to {MOST}, not {shards}")
    return shards


def shard_of(key: str, shards: int) -> int:
    """The number of the shard of a routing key, from 0 up."""
    digest = blake2b(str.encode(key, "utf-8", "surrogatepass"), digest_size=8, person=_PERSON).digest()
    return int.from_bytes(digest, "big") % shards


def namespace_of(namespace: str, shards: int, index: int) -> str:
    """The namespace of a shard; of one that is not sharded, its own."""
    return namespace if shards == 1 else f"{namespace}[{shards}.{index}]"


def shard_named(namespace: str) -> Shard | None:
    """The shard that has this namespace, or one beside it; None: it is not of a shard."""
    found = _SHARD.fullmatch(namespace)
    if found is None or len(found[2]) > 4 or not 1 < int(found[2]) <= MOST or int(found[3]) >= int(found[2]):
        return None
    return Shard(found[1], int(found[2]), int(found[3]), found[4] or "")


def of_session(name: str) -> str:
    """The routing key of the name of a session, or of the prefix of a user's sessions: the tag of the user."""
    return name.partition(".")[0]


def of_result(name: str) -> str:
    """The routing key of the name of a result, or of any record of a cache."""
    return name.removesuffix(RAISED)


def of_listed(place: str) -> str:
    """The routing key of a record that lists a name under a tag (`store.cache.notes.place_of`)."""
    length, _, rest = place.partition(":")
    return of_result(rest[int(length) :] if length.isdecimal() and len(length) < 10 else place)


ROUTES: Mapping[Kind, Callable[[str], str]] = {"sessions": of_session, "cache": of_result, "memo": of_result}


def route_of(kind: Kind, companion: str = "") -> Callable[[str], str]:
    """The function from a record's name to its routing key, in a shard or in a namespace beside it."""
    return of_listed if companion == "#tags" else ROUTES[kind]
