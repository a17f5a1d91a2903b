"""The URL of a store on Redis: what is ours in it, and what the driver gets."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

SCHEMES = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss"}  # ours → the driver's
PREFIX = "store:"
PORT = 6379
SECRETS = ("password", "ssl_password")
OURS = ("decode_responses", "encoding", "encoding_errors", "protocol", "retry", "retry_on_timeout", "retry_on_error")
"""Parameters of the driver that this engine sets itself: it gets bytes, and says what is tried again."""
_PREFIX = re.compile(r"[^{}\x00-\x20\x7f]{1,64}")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]@,]*)(?::([0-9]+))?")


class Location(NamedTuple):
    """Where a store is. `urls` have the password, so they are in no message and in no `repr`; `shown` has not."""

    urls: tuple[str, ...]
    """The driver's URL of each node that the URL names; any of them tells of the others in a cluster."""
    prefix: str
    """The beginning of all keys of the store."""
    replicas: int | None
    """How many replicas confirm a write under `durability="full"`; None: as the server's settings need it."""
    shown: str

    def __repr__(self) -> str:
        return f"<Location {self.shown!r}>"


def parse(url: str) -> Location:
    """The parts of a URL `redis://user:password@host:port,host:port/db?prefix=…&replicas=…`.

    The scheme is redis, rediss (TLS), valkey or valkeys (TLS). All other parameters are redis-py's, such as
    `ssl_ca_certs`; where one comes twice, the last counts. Raises: ValueError: a part is wrong.
    """
    split = _split(url)
    own: dict[str, str] = {}
    rest: dict[str, str] = {}
    for key, value in parse_qsl(split.query.replace("+", "%2B"), keep_blank_values=True):
        (own if key in ("prefix", "replicas") else rest)[key] = value
    if ours := [key for key in OURS if key in rest]:
        raise ValueError(
            f"{ours[0]}= in the URL: the engine sets it itself, as it decodes and tries again by itself; leave it out"
        )
    prefix = own.get("prefix", PREFIX)
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(f"prefix={prefix!r} in the URL is not 1 to 64 characters without spaces and braces")
    database = split.path.strip("/")
    if database and not database.isdecimal():
        raise ValueError(f"the database {database!r} in the URL is not a number: redis://host:port/0")
    user, at, hosts = split.netloc.rpartition("@")
    query = urlencode(rest, quote_via=quote)
    urls = tuple(
        urlunsplit((SCHEMES[split.scheme], f"{user}{at}{host or 'localhost'}", f"/{database}", query, ""))
        for host in hosts.split(",")
    )
    return Location(urls, prefix, _replicas(own.get("replicas")), shown(url))


def shown(url: str) -> str:
    """The URL without its password: for messages, and for a pickled store."""
    split = _split(url)
    user, at, hosts = split.netloc.rpartition("@")
    given = parse_qsl(split.query.replace("+", "%2B"), keep_blank_values=True)
    query = urlencode([(key, value) for key, value in given if key not in SECRETS], quote_via=quote, safe="/,:")
    name = user.partition(":")[0]
    return urlunsplit(split._replace(netloc=f"{name}{at if name else ''}{hosts or 'localhost'}", query=query))


def _split(url: str) -> SplitResult:
    """The parts of a URL. One that cannot be taken apart is refused uncited, since it may have a password."""
    try:
        split = urlsplit(url)
        hosts = split.netloc.rpartition("@")[2]
        is_sound = (
            split.scheme in SCHEMES
            and not split.fragment
            and "@" not in split.path
            and split.netloc.count("@") < 2
            and all(_HOST.fullmatch(host) for host in hosts.split(","))
        )
    except ValueError:  # its message cites the user and the password
        is_sound = False
    if not is_sound:
        raise ValueError(
            "a URL is redis://user:password@host:port/database?parameter=value, or rediss:// with TLS; in user, "
            "password and values the characters / ? # @ : % & are written as %2F %3F %23 %40 %3A %25 %26"
        ) from None
    return split


def _replicas(given: str | None) -> int | None:
    if given is None:
        return None
    if not given.isdecimal() or int(given) > 100:
        raise ValueError(f"replicas={given!r} in the URL is not a number of replicas from 0 up")
    return int(given)
