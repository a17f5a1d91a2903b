"""Sessions of other programs, as `Sessions` keeps them: under hashes of their ids, which the visitors' cookies have.

    from store.importers import import_into
    from store.sessions.importing import SessionForm

    with Sessions("sessions.db") as sessions:
        import_into(sessions.store, "django-sessions", "db.sqlite3", secret_keys=[SECRET_KEY], form=SessionForm())

Visitors whose ids the other program made stay logged in.
"""

from __future__ import annotations

from typing import Any

from store.sessions.ids import check_given, name_of


class SessionForm:
    """The names and values of `Sessions`, for `store.importers.import_into`. A key of the source is an id."""

    def name_of(self, key: Any) -> str:
        """The name of the record of an id. Raises: TypeError, ValueError: it cannot be an id."""
        return name_of(check_given(key))

    def tag_of(self, tag: Any) -> None:
        """None: sessions have no tags."""

    def value_of(self, name: str, key: Any, value: Any) -> Any:
        """The data as they are. Raises: TypeError: they are none of a session."""
        if not isinstance(value, dict):
            raise TypeError(f"it is a {type(value).__name__}, and the data of a session are a dict")
        return value
