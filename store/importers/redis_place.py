"""The URL of a Redis or Valkey server that is a source, taken apart so that no message has its password.

`redis://user:password@host:port/database`, with TLS `rediss://`; `valkey://` and `valkeys://` are the same, and
`unix:///path?db=0` is a socket of this machine. `PARAMETERS` names the parameters, which are those of redis-py:
https://redis.readthedocs.io/en/stable/connections.html
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode

SCHEMES = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss", "unix": "unix"}
"""Scheme of a URL → that which redis-py knows for it."""
PORT = 6379
PARAMETERS = ("db", "username", "password", "client_name", "socket_timeout", "socket_connect_timeout")
PASSWORD = "REDISCLI_AUTH"  # as redis-cli reads it: the environment is in no list of processes
_SECRETS = ("password", "ssl_password")
_ANY_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://")
_USER = r"(?:(?P<user>[^:@/?#]*)(?::(?P<password>[^@/?#]*))?@)?"
_QUERY = r"(?:\?(?P<query>[^#]*))?"
_SERVER = re.compile(
    rf"(?P<scheme>rediss?|valkeys?)://{_USER}(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:@/?#,\[\]]*)(?::(?P<port>\d{{1,5}}))?"
    rf"(?:/(?P<db>\d{{0,9}}))?{_QUERY}"
)
_SOCKET = re.compile(rf"(?P<scheme>unix)://{_USER}(?P<path>/[^?#@]*){_QUERY}")


class Place(NamedTuple):
    """Where a server is. `url` is for redis-py, and has the password; `shown` is for messages, and has it not."""

    url: str
    shown: str
    database: int
    secrets: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<Place {self.shown!r}>"

    def without_secrets(self, text: str) -> str:
        """The text with asterisks for the password: an old server cites the command that had it."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def scheme_of(source: str) -> str | None:
    """The scheme, if a source is a URL and not the path of a file."""
    found = _ANY_SCHEME.match(source)
    return found["scheme"].lower() if found else None


def parse(url: str) -> Place:
    """The parts of a URL. Raises: ValueError: it is none, or a parameter is unknown; the message does not cite it."""
    found = _SERVER.fullmatch(url) or _SOCKET.fullmatch(url)
    if found is None:
        raise ValueError(
            "the URL of a Redis server is redis://user:password@host:port/database, the database a number; rediss:// "
            "with TLS; in user and password the characters / ? # @ % are written as %2F %3F %23 %40 %25"
        )
    parts = found.groupdict()
    query = dict(parse_qsl((parts["query"] or "").replace("+", "%2B"), keep_blank_values=True))
    _check_parameters(query, parts["scheme"])
    query.setdefault("username", unquote(parts["user"] or ""))
    query.setdefault("password", unquote(parts["password"] or "") or os.environ.get(PASSWORD, ""))
    database = _number(query.pop("db", parts.get("db") or "0"))
    where, shown = _where(parts, database)
    parameters = urlencode({name: value for name, value in query.items() if value}, quote_via=quote)
    secrets = tuple(filter(None, map(query.get, _SECRETS)))
    return Place(f"{where}?db={database}" + (f"&{parameters}" if parameters else ""), shown, database, secrets)


def _where(parts: dict[str, str | None], database: int) -> tuple[str, str]:
    """The beginning of the URL for redis-py, and all of the URL for messages."""
    scheme = str(parts["scheme"])
    if scheme == "unix":
        return f"unix://{parts['path']}", f"unix://{parts['path']}?db={database}"
    place = f"{parts['host'] or 'localhost'}:{parts['port'] or PORT}"
    return f"{SCHEMES[scheme]}://{place}", f"{scheme}://{place}/{database}"


def _check_parameters(query: dict[str, str], scheme: str) -> None:
    for name in query:
        if name.startswith("ssl_"):
            if SCHEMES[scheme] != "rediss":
                raise ValueError(f"the parameter {name} in the URL goes with TLS: rediss://…")
        elif name not in PARAMETERS:
            raise ValueError(f"unknown parameter {name!r} in the URL: one of {', '.join(PARAMETERS)}, ssl_…")


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise ValueError("db in the URL is not the number of a database")
    return int(text)
