"""The URL of a store on PostgreSQL: what is ours in it, and what the driver gets."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

SCHEME = "postgresql"
SCHEMA = "store"
OWN = ("schema", "prefix", "pool_size", "synchronous_commit", "pooler")
COMMITS = ("local", "remote_write", "on", "remote_apply")
SECRETS = ("password", "sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret")
POOL_SIZE = 16  # connections of a process to one database
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^:\[\]@]*)(?::[0-9]*)?")
_PARAMETER = re.compile(r"[A-Za-z_]+=")
_WRONG_PERCENT = re.compile("%(?:00|(?![0-9A-Fa-f]{2}))")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,47}")


class Location(NamedTuple):
    """Where a store is. `conninfo` has the password, so it is in no message and in no `repr`; `shown` has not."""

    conninfo: str
    schema: str
    prefix: str
    pool_size: int
    synchronous_commit: str | None
    shown: str
    pooler: bool | None
    """Whether a pooler such as pgbouncer, in transaction mode, is between; None: it is found out."""

    def __repr__(self) -> str:
        return f"<Location {self.shown!r}>"

    def table(self, name: str) -> str:
        """The quoted name of one of our tables, with its schema."""
        return f'"{self.schema}"."{self.prefix}{name}"'


def parse(url: str) -> Location:
    """The parts of a URL `postgresql://user@host:port,host:port/database?schema=store&prefix=…`.

    All other parameters are libpq's, such as `target_session_attrs`. Raises: ValueError: a parameter is wrong.
    """
    split = _split(url)
    given: dict[str, str] = {}
    rest: list[tuple[str, str]] = []
    for key, value in _query(split.query):
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
    conninfo = urlunsplit(split._replace(query=urlencode(rest, quote_via=quote)))
    return Location(
        conninfo, schema, prefix, _pool_size(given.get("pool_size")), commit, shown(url), _pooler(given.get("pooler"))
    )


def shown(url: str) -> str:
    """The URL without its password: for messages, and for a pickled store, which finds the password as libpq does."""
    split = _split(url)
    user, at, host = split.netloc.rpartition("@")
    query = [(key, value) for key, value in _query(split.query) if key not in SECRETS]
    netloc = f"{user.partition(':')[0]}{at}{host}"
    return urlunsplit(split._replace(netloc=netloc, query=urlencode(query, quote_via=quote, safe="/,:")))


def _split(url: str) -> SplitResult:
    """The parts of a URL. One that libpq would take apart elsewhere, or cite in an error, is refused uncited."""
    try:
        split = urlsplit(url)
        hosts = split.netloc.rpartition("@")[2]
        is_sound = (
            not split.fragment
            and "@" not in split.path
            and split.netloc.count("@") < 2  # the first one ends the password for libpq, the last one for others
            and all(_HOST.fullmatch(host) for host in hosts.split(","))
            and all(_PARAMETER.match(part) for part in split.query.split("&") if part)
            and not _WRONG_PERCENT.search(url)
        )
    except ValueError:  # its message cites the user and the password
        is_sound = False
    if not is_sound:
        raise ValueError(
            "a URL is postgresql://user:password@host:port/database?parameter=value; in user, password and values "
            "the characters / ? # @ : % & are written as %2F %3F %23 %40 %3A %25 %26"
        ) from None
    return split


def _query(text: str) -> list[tuple[str, str]]:
    """The parameters; a plus is a plus, as libpq has it."""
    return parse_qsl(text.replace("+", "%2B"), keep_blank_values=True)


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
