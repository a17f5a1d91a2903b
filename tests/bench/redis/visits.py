"""Visits of a web application: a request that loads its session, changes it, and saves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..remote.peers import Pairs
from ..remote.sections import names_of


def visit(data: Any) -> Any:
    """What the request changes: a number, so that a session stays as large as it is."""
    data["seen"] = data["seen"] + 1.0
    return data


def sessions_of(pairs: Pairs) -> Iterator[tuple[str, Any]]:
    """The names that are visited, of those of the records, and the data of their sessions."""
    values = dict(pairs)
    return ((name, values[name]) for name in names_of(len(pairs)))


def id_of(name: str) -> str:
    """The id of the session that stands for a record's name: as long as a random one, of letters and digits."""
    return name.replace(":", "").rjust(43, "0")


class Visits:
    """Requests to a Flask application, as far as its session interface sees them."""

    def __init__(self, app: Any, interface: Any) -> None:
        self.app, self._interface = app, interface

    def visit(self, name: str) -> Any:
        """Open the session of a cookie, change it, and save it; returns what it was saved as."""
        request = self.app.request_class({"HTTP_COOKIE": f"session={id_of(name)}"})
        session = self._interface.open_session(self.app, request)
        visit(session)
        self._interface.save_session(self.app, session, self.app.response_class())
        return dict(session)

    def fill(self, pairs: Pairs, make: Callable[[Any, str, Any], Any]) -> None:
        """Save a session for each name that is visited; `make(interface, id, data)` makes it."""
        for name, data in sessions_of(pairs):
            session = make(self._interface, id_of(name), data)
            session.modified = True
            self._interface.save_session(self.app, session, self.app.response_class())
