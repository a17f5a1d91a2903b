"""The addresses of the pages. Names go into the query, since a path would change those like `..` and `a/b`."""

from __future__ import annotations

from urllib.parse import urlencode

from store.display.html import Url


class Links:
    """Makes the `Url` of each page of one store; `base` is what they begin with, without a slash at its end."""

    def __init__(self, base: str) -> None:
        self.base = base

    def page(self, path: str = "", **query: str | int | None) -> Url:
        """The page of that path, `""` for the first one; a query of None is left out."""
        given = {key: str(value) for key, value in query.items() if value is not None}
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
