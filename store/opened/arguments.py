"""Checks of single arguments: location, names, times, sizes."""

from __future__ import annotations

import math
import os
import re
import sys
import time
from collections.abc import Callable, Mapping

from store.engines.registry import engines, file_schemes
from store.system.clock import wall_clock

_PASSWORD = re.compile(r"^([^:/?#@]*://[^:/?#@]*):.*@", re.DOTALL)  # up to the last @: it may not be encoded
_SERVER = re.compile(r"\s*(?:postgres(?:ql)?(?::/?|//)[^/]*@|(?:host|hostaddr|port|dbname|user|password)=.*=)", re.I)
_SECRET = re.compile(r"([?&][^=&]*(?:password|secret|key)[^=&]*=)[^&]*", re.IGNORECASE)


def locate(location: str | os.PathLike[str]) -> tuple[str, str]:
    """The scheme, and the absolute path or ":memory:", of a path or URL. Raises: TypeError, ValueError."""
    if isinstance(location, bytes):
        location = os.fsdecode(location)
    if not isinstance(location, str | os.PathLike):
        raise TypeError(f"a store's location is a path or a URL, not {_instead(location)}")
    path = os.fsdecode(location)
    scheme, separator, rest = path.partition("://")
    if not separator:
        if _SERVER.match(path):  # no file is meant; it is not cited, since it may have a password
            raise ValueError("a server is named by a URL: postgresql://user@host:port/database")
        scheme, rest = "sqlite", path
    elif scheme not in engines:
        raise ValueError(f"unknown scheme {scheme!r} in {public(path)!r}: one of {', '.join(engines.names())}")
    elif scheme not in file_schemes:
        return scheme, path
    else:
        rest = rest.removeprefix("/") or ":memory:"  # sqlite:///relative, sqlite:////absolute
    if not rest:
        raise ValueError("a store's location may not be empty; name a file, or ':memory:'")
    try:
        valid = b"\0" not in os.fsencode(rest)
    except UnicodeEncodeError:
        valid = False
    if not valid:
        raise ValueError(f"no file can be called {rest!r}; name one without NUL and without lone surrogates")
    return ("memory", rest) if rest == ":memory:" else (scheme, os.path.abspath(rest))


def public(location: str) -> str:
    """A path or URL without its password, for messages. It may lack more than that; the engine has its own form."""
    if "://" not in location:
        return location
    return _SECRET.sub(r"\1…", _PASSWORD.sub(r"\1@", location))


def _instead(location: object) -> str:
    """A wrong location, for a message; with a hint for a `dict`, which `shelve.Shelf` takes."""
    if isinstance(location, Mapping):
        return f'{type(location).__name__}; to keep one in memory: Store(":memory:"), and its update(…)'
    return f"{location!r:.80}"


def check_name(name: str, what: str = "name") -> str:
    """The name as a plain `str`. Raises: TypeError: it is not a str. ValueError: it is not valid text."""
    if type(name) is not str:
        if not isinstance(name, str):
            raise TypeError(f"a {what} is a str, not {type(name).__name__}: {name!r:.80}")
        name = str.__str__(name)
    if not name.isascii():
        try:
            name.encode()
        except UnicodeEncodeError as exc:
            raise ValueError(
                f"a {what} must be valid text, and {name[exc.start : exc.end]!r} at position {exc.start} is half of "
                "a surrogate pair; for bytes from a file name use os.fsencode(name).hex(), for example"
            ) from exc
    return name


def new_name(name: str, what: str = "name") -> str:
    """As `check_name`, for a record that is written. Raises: ValueError: it has a NUL, which no server stores.

    Older stores in files may have such names: they can be read, exported and deleted.
    """
    name = check_name(name, what)
    if "\0" in name:
        raise ValueError(
            f"a {what} may not contain NUL, and {name!r:.80} has one at position {name.index(chr(0))}; for bytes use "
            "name.hex(), for example"
        )
    return name


def namespace_name(name: str, *, makes_new: bool) -> str:
    """The name of a namespace as a plain `str`; a NUL is for one that an older store has. Raises: as `new_name`."""
    return new_name(name, "namespace") if makes_new else check_name(name, "namespace")


def sought_name(name: str) -> str | None:
    """The name to look up, as a plain `str`; None where no record can have it. Raises: TypeError."""
    if type(name) is str and name.isascii():  # nearly all, without another call
        return name
    try:
        return check_name(name)
    except ValueError:
        return None


def check_ttl(ttl: float | None) -> float | None:
    """The ttl in seconds. Raises: TypeError, ValueError: it is not a number, not above 0, or not finite."""
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, int | float):
        raise TypeError(f"ttl is a number of seconds or None, not {ttl!r}")
    if not 0 < ttl <= sys.float_info.max:
        raise ValueError(f"ttl is a number of seconds above 0, or None for ever, not {ttl!r}")
    return ttl


def check_bytes(size: int, what: str) -> int:
    """A number of bytes. Raises: TypeError, ValueError."""
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"{what} is a number of bytes, not {size!r}")
    if size < 0:
        raise ValueError(f"{what} is a number of bytes from 0 up, not {size!r}")
    return size


def check_flag(choice: bool, what: str) -> bool:
    """True or False. Raises: TypeError: anything else."""
    if not isinstance(choice, bool):
        raise TypeError(f"{what} is True or False, not {choice!r}")
    return choice


def check_timeout(timeout: float) -> float:
    """The timeout in seconds, limited to 31 years. Raises: TypeError, ValueError."""
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise TypeError(f"timeout is a number of seconds, not {timeout!r}")
    if not timeout >= 0:
        raise ValueError(f"timeout is a number of seconds from 0 up, not {timeout!r}")
    return min(timeout, 1e9)


def checked_clock(clock: Callable[[], float]) -> Callable[[], float]:
    """The clock, its results checked at each call: infinity would purge every record that has a lifetime."""
    return clock if clock in (wall_clock, time.time) else _Checked(clock)  # the system's own needs no check


class _Checked:
    """Calls a clock. Raises: TypeError, ValueError: it does not return a finite number."""

    __slots__ = ("clock",)

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock

    def __call__(self) -> float:
        now = self.clock()
        try:
            if math.isfinite(now):
                return now
        except (TypeError, OverflowError) as exc:
            raise TypeError(f"clock() gives the seconds since 1970 as a number, not {now!r:.80}") from exc
        raise ValueError(f"clock() gives the seconds since 1970, not {now!r}: give a clock that counts")
