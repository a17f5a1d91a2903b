"""Opening the namespace that a query names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from store.errors import StoreError
from store.mapping.store import Store
from store.web.pages.query import BadQuery
from store.web.site import Site


@contextmanager
def opened(site: Site, namespace: str) -> Iterator[Store[Any]]:
    """The store opened on a namespace of that name. Raises: BadQuery: no namespace can have it."""
    with ExitStack() as stack:
        try:
            s = stack.enter_context(site.within(namespace))
            if "\0" in namespace:  # which old files may have, and PostgreSQL refuses when it is asked
                s.opened.find("")
        except StoreError:  # some are ValueErrors as well
            raise
        except ValueError as exc:
            raise BadQuery(str(exc)) from None
        yield s
