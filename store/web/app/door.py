"""`Door`: which requests come in. It knows the token, and the names of the server.

The token is part of the address, and nothing is kept in cookies: a browser sends no secret by itself. Other sites
can still send forms to addresses that they guess: each request is checked before anything reads the store.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from store.web.app.listening import Listening

READING = ("GET", "HEAD")
TOKEN = re.compile(r"[A-Za-z0-9_~-]{16,200}")
TOKEN_BYTES = 24
HOW_TO_MAKE = "`python -c 'import secrets; print(secrets.token_urlsafe())'` makes one"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer to a request that does not come in: a status and a text."""

    status: int
    reason: str


NOTHING_HERE = Refusal(404, "Not found")
"""The answer to a wrong token, and to an address that there is not: it does not say which of the two."""
WRONG_HOST = Refusal(421, "The server does not listen under this name. Open the address that `store web` printed.")
WRONG_ORIGIN = Refusal(
    403,
    "The request does not come from a page of this server, and nothing was done. Open the page by the address that "
    "`store web` printed, and send the form there.",
)


@dataclass(frozen=True)
class Door:
    """Checks requests before anything else looks at them. Safe across threads."""

    token: str
    listening: Listening

    def path_inside(self, path: str) -> str | None:
        """The path behind the token, such as "/record"; None where the token is another one."""
        first, slash, rest = path.removeprefix("/").partition("/")
        is_right = secrets.compare_digest(first.encode("utf-8", "replace"), self.token.encode())
        return f"{slash}{rest}" if is_right and path.startswith("/") else None

    def refusal(self, method: str, path: str, headers: Mapping[str, str]) -> Refusal | None:
        """Why a request does not come in; None where it does. The names of `headers` are in lower case."""
        host = headers.get("host", "")
        if not self.listening.is_meant_by(host):
            return WRONG_HOST
        inside = self.path_inside(path)
        if inside is None:
            return NOTHING_HERE
        if method not in READING:
            return None if _is_own_form(headers, host) else WRONG_ORIGIN
        if inside == "/events" and not _is_own_fetch(headers, host):
            return WRONG_ORIGIN
        return None


def new_token() -> str:
    """A random token, of 192 bits."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def checked_token(token: str) -> str:
    """The token. Raises: ValueError: it can be guessed, or cannot be part of an address as it is."""
    if not TOKEN.fullmatch(token):
        raise ValueError(f"a token has 16 to 200 letters, digits and characters of -_~; {HOW_TO_MAKE}")
    if len(set(token)) < 8:
        raise ValueError(f"the token can be guessed, as it repeats a few characters; {HOW_TO_MAKE}")
    return token


def _is_own_form(headers: Mapping[str, str], host: str) -> bool:
    """Whether a page of ours sent a form. Browsers say so in one of the two headers, or in both."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    return (site is not None or origin is not None) and site in (None, "same-origin") and _is_own(origin, host)


def _is_own_fetch(headers: Mapping[str, str], host: str) -> bool:
    """Whether no other site asks. Browsers send no origin with a request to it; programs send neither header."""
    return headers.get("sec-fetch-site") in (None, "same-origin", "none") and _is_own(headers.get("origin"), host)


def _is_own(origin: str | None, host: str) -> bool:
    return origin is None or origin.lower() == f"http://{host.lower()}"
