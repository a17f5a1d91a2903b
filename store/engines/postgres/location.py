"""The URL of a store on PostgreSQL: what is ours in it, and what the driver gets."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

SCHEME = "postgresql"
SCHEMA = "store"
OWN = ("schema", "prefix", "pool_size", "synchronous_commit", "pooler")
COMMITS = ("local", "remote_write", "on", "remote_apply")
POOL_SIZE = 16  # connections of a process to one database
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,47}")


class Location(NamedTuple):
    """Where a store is. `conninfo` has the password, so it is in no message; `shown` has not."""

    conninfo: str
    schema: str
    prefix: str
    pool_size: int
    synchronous_commit: str | None
    shown: str
    pooler: bool | None
    """Whether a pooler such as pgbouncer, in transaction mode, is between; None: it is found out."""

    def table(self, name: str) -> str:
        """The quoted name of one of our tables, with its schema."""
        return f'"{self.schema}"."{self.prefix}{name}"'


def parse(url: str) -> Location:
    """The parts of a URL `postgresql://user@host:port,host:port/database?schema=store&prefix=…`.

    All other parameters are libpq's, such as `target_session_attrs`. Raises: ValueError: a parameter is wrong.
    """
    split = urlsplit(url)
    given: dict[str, str] = {}
    rest: list[tuple[str, str]] = []
    for key, value in parse_qsl(split.query, keep_blank_values=True):
        if key in OWN:
            given[key] = value
        else:
            rest.append((key, value))
    schema, prefix = given.get("schema", SCHEMA), given.get("prefix", "")
    for what, value in (("schema", schema), ("prefix", prefix or "a")):
        if not _IDENTIFIER.fullmatch(value):
            raise ValueError(f"{what}={value!r} in the URL is not a name of up to 48 letters, digits and underscores")
    commit = given.get("synchronous_commit")
    if commit is not None and commit not in COMMITS:
        raise ValueError(f"synchronous_commit={commit!r} in the URL: one of {', '.join(COMMITS)}")
    conninfo = urlunsplit(split._replace(query=urlencode(rest)))
    return Location(
        conninfo, schema, prefix, _pool_size(given.get("pool_size")), commit, shown(url), _pooler(given.get("pooler"))
    )


def shown(url: str) -> str:
    """The URL without its password: for messages, and for a pickled store, which finds the password as libpq does."""
    split = urlsplit(url)
    user, at, host = split.netloc.rpartition("@")
    query = [
        (key, value)
        for key, value in parse_qsl(split.query, keep_blank_values=True)
        if key not in ("password", "sslpassword")
    ]
    netloc = f"{user.partition(':')[0]}{at}{host}"
    return urlunsplit(split._replace(netloc=netloc, query=urlencode(query, quote_via=quote, safe="/,:")))


def _pool_size(given: str | None) -> int:
    if given is None:
        return POOL_SIZE
    if not given.isdecimal() or not 1 <= int(given) <= 10_000:
        raise ValueError(f"pool_size={given!r} in the URL is not a number of connections from 1 up")
    return int(given)


def _pooler(given: str | None) -> bool | None:
    if given not in (None, "transaction", "none"):
        raise ValueError(f"pooler={given!r} in the URL: transaction or none; left out, it is found out")
    return None if given is None else given == "transaction"
