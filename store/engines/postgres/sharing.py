"""Which URLs are one `Server` in a process.

A thread that held a transaction through one server, and wrote through another one of the same tables, would wait for
itself.
"""

from __future__ import annotations

from typing import Any

from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

from store.engines.postgres.location import SECRETS, Location

_WHERE = ("host", "hostaddr", "port", "dbname", "user", "service")
_STANDBYS = ("read-only", "standby", "prefer-standby")
FIRST_WINS = frozenset({
    "pool_size", "connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count",
    "tcp_user_timeout", "application_name", "fallback_application_name",
})  # fmt: skip
"""Options that may differ: those of the URL that is opened first hold."""

Key = tuple[Any, ...]


def key_of(location: Location) -> Key:
    """What URLs of one database, schema, prefix and user have in common; those of standbys are others."""
    given = _settings(location)
    hosts, addresses, ports = ((given[name] or "").split(",") for name in ("host", "hostaddr", "port"))
    places = max(hosts, addresses, key=len)
    ports = ports * len(places) if len(ports) == 1 else ports
    addresses = addresses if len(addresses) == len(places) else [""] * len(places)
    hosts = hosts if len(hosts) == len(places) else [""] * len(places)
    user = given["user"]
    return (
        tuple(sorted(zip(hosts, addresses, ports, strict=False))),
        given["dbname"] or user,
        user,
        given["service"],
        given["target_session_attrs"] in _STANDBYS,
        location.schema,
        location.prefix,
    )


def differences(first: Location, other: Location, *, is_pooled: bool) -> list[str]:
    """The options in which URLs of one key differ, and that may not. A secret may be missing in one of them.

    `is_pooled`: whether a pooler was detected between the process and the server.
    """
    before, now = _settings(first), _settings(other)
    for secret in SECRETS:
        if not (before.get(secret) and now.get(secret)):
            before.pop(secret, None), now.pop(secret, None)
    found = {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
    if first.synchronous_commit != other.synchronous_commit:
        found.add("synchronous_commit")
    if other.pooler not in (None, is_pooled):
        found.add("pooler")
    return sorted(found - FIRST_WINS - set(_WHERE))


def _settings(location: Location) -> dict[str, str | None]:
    """What libpq makes of the URL, with its defaults and those of the environment."""
    defaults = {option.keyword.decode(): _text(option.val) for option in pq.Conninfo.get_defaults()}
    return {**defaults, **{name: str(value) for name, value in conninfo_to_dict(location.conninfo).items()}}


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")
