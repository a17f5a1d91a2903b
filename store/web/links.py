"""The addresses of the pages. Names go into the query, since a path would change those like `..` and `a/b`."""

from __future__ import annotations

from hashlib import blake2b
from urllib.parse import urlencode

from store.display.html import Url

MOST_LINKED = 4096  # characters of names that fit into an address
BEGINNING = 200  # characters of a longer one that are in the address, beside its digest
SHORTENED = {"namespace": "namespace-digest", "name": "name-digest"}
"""The parts of a query that are shortened if they are longer, and those that have their digests then."""


def digest_of(name: str) -> str:
    """What tells a long name from others that begin as it does."""
    return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def fits(namespace: str, name: str = "") -> bool:
    """Whether the names are short enough for an address, and for the fields of a form."""
    return len(namespace) + len(name) <= MOST_LINKED


class Links:
    """Makes the `Url` of each page of one store; `base` is what they begin with, without a slash at its end.

    Of names that are too long for an address it has the beginnings, and digests, which `pages/long_names.py` finds.
    """

    def __init__(self, base: str) -> None:
        self.base = base

    def page(self, path: str = "", **query: str | int | None) -> Url:
        """The page of that path, `""` for the first one; a query of None is left out."""
        given = {key: str(value) for key, value in query.items() if value is not None}
        if not fits(given.get("namespace", ""), given.get("name", "")):
            given.update(_shortened(given))
        return Url(f"{self.base}/{path}" + (f"?{urlencode(given)}" if given else ""))

    def namespace(self, namespace: str, **query: str | int | None) -> Url:
        """The records of a namespace. `query`: `prefix`, `sort`, `after` and `reverse` of the listing."""
        return self.page("namespace", namespace=namespace, **query)

    def record(self, namespace: str, name: str) -> Url:
        """One record."""
        return self.page("record", namespace=namespace, name=name)

    def health(self, check: int | None = None) -> Url:
        """The page of checks; with `check`, the number of the checks so far, it runs the next one."""
        return self.page("health", check=check)

    def events(self, namespace: str | None, **query: str | int | None) -> Url:
        """Where the changes of records are sent from, as server-sent events; None: those of the whole store.

        `query`: the `name` of the record, or what `namespace` takes; `seen` is the mark of what a page shows of them.
        Of the whole store `until` is the Unix time when the first record expires.
        """
        return self.page("events", namespace=namespace, **query)

    def static(self, file: str) -> Url:
        """A style sheet or script of `store/web/static`."""
        return self.page(f"static/{file}")


def _shortened(query: dict[str, str]) -> dict[str, str]:
    long = {key: query[key] for key in SHORTENED if len(query.get(key, "")) > BEGINNING}
    digests = {SHORTENED[key]: digest_of(name) for key, name in long.items()}
    return {key: name[:BEGINNING] for key, name in long.items()} | digests
