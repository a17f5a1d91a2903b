"""What else people keep Python objects in a PostgreSQL database with: SQLAlchemy and Django, used as documented."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from ..remote.peers import BATCH, Kind, Pairs, batches, changed

LATER = datetime.now(UTC) + timedelta(days=365)


class SqlAlchemy:
    """A table of two columns; a statement is a transaction of its own, an edit is one that locks its row."""

    def __init__(self, url: str) -> None:
        from sqlalchemy import Column, LargeBinary, MetaData, Table, Text, create_engine, delete, select, update
        from sqlalchemy.dialects.postgresql import insert

        self.table = Table("sqlalchemy", MetaData(), Column("name", Text, primary_key=True), Column("value", LargeBinary))
        self.engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
        self._in_transaction = self.engine.execution_options(isolation_level="READ COMMITTED")
        self._insert, self._select, self._delete, self._update = insert, select, delete, update

    def _put(self, rows: list[dict[str, Any]]) -> Any:
        statement = self._insert(self.table).values(rows)
        return statement.on_conflict_do_update(index_elements=["name"], set_={"value": statement.excluded.value})

    def get(self, name: str) -> Any:
        with self.engine.connect() as conn:
            found = conn.execute(self._select(self.table.c.value).where(self.table.c.name == name))
            return pickle.loads(found.scalar_one())

    def set(self, name: str, value: Any) -> None:
        with self.engine.connect() as conn:
            conn.execute(self._put([{"name": name, "value": pickle.dumps(value)}]))

    def delete(self, name: str) -> None:
        with self.engine.connect() as conn:
            conn.execute(self._delete(self.table).where(self.table.c.name == name))

    def update(self, pairs: Pairs) -> None:
        with self.engine.connect() as conn:
            conn.execute(self._put([{"name": name, "value": pickle.dumps(value)} for name, value in pairs]))

    def get_many(self, names: list[str]) -> dict[str, Any]:
        with self.engine.connect() as conn:
            found = conn.execute(self._select(self.table).where(self.table.c.name.in_(names)))
            return {name: pickle.loads(value) for name, value in found}

    def items(self) -> Iterator[tuple[str, Any]]:
        with self.engine.connect() as conn:
            for name, value in conn.execute(self._select(self.table)):
                yield name, pickle.loads(value)

    def edit(self, name: str) -> Any:
        where = self.table.c.name == name
        with self._in_transaction.begin() as conn:
            found = conn.execute(self._select(self.table.c.value).where(where).with_for_update())
            value = changed(pickle.loads(found.scalar_one()))
            conn.execute(self._update(self.table).where(where).values(value=pickle.dumps(value)))
            return value

    def close(self) -> None:
        self.engine.dispose()


def fill_sqlalchemy(url: str, pairs: Pairs) -> None:
    peer = SqlAlchemy(url)
    peer.table.drop(peer.engine, checkfirst=True)
    peer.table.create(peer.engine)
    for batch in batches(pairs):
        peer.update(batch)
    peer.close()


def _configure(url: str) -> None:
    """Django has one configuration in a process."""
    import django
    from django.conf import settings

    if settings.configured:
        return
    split = urlsplit(url)
    database = {
        "ENGINE": "django.db.backends.postgresql", "NAME": split.path[1:], "USER": split.username,
        "HOST": split.hostname, "PORT": split.port, "CONN_MAX_AGE": None,
    }  # fmt: skip
    cache = {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "django_cache", "TIMEOUT": None,
        "OPTIONS": {"MAX_ENTRIES": 100_000_000},
    }  # fmt: skip
    settings.configure(
        DATABASES={"default": database}, CACHES={"default": cache}, USE_TZ=True, SECRET_KEY="of a benchmark",
        INSTALLED_APPS=["django.contrib.sessions"], SESSION_ENGINE="django.contrib.sessions.backends.db",
    )  # fmt: skip
    django.setup()


class DjangoCache:
    def __init__(self, url: str) -> None:
        _configure(url)
        from django.core.cache import cache
        from django.db import connection

        self.get, self.set, self.delete, self.get_many = cache.get, cache.set, cache.delete, cache.get_many
        self._set_many, self.close = cache.set_many, connection.close

    def update(self, pairs: Pairs) -> None:
        self._set_many(dict(pairs))

    def items(self) -> Iterator[tuple[str, Any]]:
        raise NotImplementedError

    def edit(self, name: str) -> Any:
        raise NotImplementedError


def fill_django_cache(url: str, pairs: Pairs) -> None:
    """By SQL, since it counts the table before each write."""
    peer = DjangoCache(url)
    from django.core.cache import cache
    from django.core.management import call_command
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS django_cache")
        call_command("createcachetable")
        for batch in batches(pairs):
            rows = [
                (cache.make_key(name), base64.b64encode(pickle.dumps(value)).decode("ascii"), LATER)
                for name, value in batch
            ]
            cursor.executemany("INSERT INTO django_cache (cache_key, value, expires) VALUES (%s, %s, %s)", rows)
    peer.close()


class DjangoSessions:
    """Each record is a session; a value is its dict."""

    def __init__(self, url: str) -> None:
        _configure(url)
        from django.contrib.sessions.backends.base import UpdateError
        from django.contrib.sessions.backends.db import SessionStore
        from django.contrib.sessions.models import Session
        from django.db import connection

        self._store, self._model, self.close = SessionStore, Session, connection.close
        self._missing = UpdateError

    def get(self, name: str) -> Any:
        return self._store(_key(name)).load()

    def set(self, name: str, value: Any) -> None:
        session = self._store(_key(name))
        session._session_cache = value
        try:
            session.save()
        except self._missing:  # to save under a key that was given is to update; only a login makes new ones
            self._model.objects.create(session_key=_key(name), session_data=session.encode(value), expire_date=LATER)

    def delete(self, name: str) -> None:
        self._store(_key(name)).delete()

    def update(self, pairs: Pairs) -> None:
        raise NotImplementedError

    def get_many(self, names: list[str]) -> dict[str, Any]:
        raise NotImplementedError

    def items(self) -> Iterator[tuple[str, Any]]:
        for session in self._model.objects.iterator(BATCH):
            yield session.session_key, session.get_decoded()

    def edit(self, name: str) -> Any:
        """Without a lock: of two requests at once the later one wins."""
        session = self._store(_key(name))
        value = changed(session._session)
        session.save()
        return value


def _key(name: str) -> str:
    return name.replace(":", "")  # letters and digits are allowed


def fill_django_sessions(url: str, pairs: Pairs) -> None:
    peer = DjangoSessions(url)
    from django.contrib.sessions.models import Session
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS django_session")
    with connection.schema_editor() as editor:
        editor.create_model(Session)
    encode = peer._store().encode
    for batch in batches(pairs):
        Session.objects.bulk_create(
            Session(session_key=_key(name), session_data=encode(value), expire_date=LATER) for name, value in batch
        )
    peer.close()


KINDS = (
    Kind("SQLAlchemy core", SqlAlchemy, fill_sqlalchemy, modules=("sqlalchemy", "psycopg"), note="autocommit"),
    Kind(
        "Django database cache", DjangoCache, fill_django_cache, lacks=frozenset({"items", "edit"}),
        modules=("django", "psycopg"), note="`set` counts the table first",
    ),
    Kind(
        "Django database sessions", DjangoSessions, fill_django_sessions, lacks=frozenset({"update", "get_many"}),
        modules=("django", "psycopg"), note="an edit takes no lock",
    ),
)  # fmt: skip
