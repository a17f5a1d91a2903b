"""Roles with the rights that the page of the engine names, and with those alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import store
from store import Store
from store.errors import NotAStore, ReadOnly, StorageError, StoreNotFound

PAGE = Path(store.__file__).parent / "engines/postgres/README.md"


@pytest.fixture
def roles(postgres: Any) -> Iterator[dict[str, str]]:
    """URLs by role, on a database of their own: its owner has made a store, and granted what the page says."""
    database = "rights"
    names = {"owner": f"{database}_owner", "app": f"{database}_app", "viewer": f"{database}_viewer"}
    with psycopg.connect(postgres.url, autocommit=True) as conn:
        for name in names.values():
            conn.execute(f"CREATE ROLE {name} LOGIN")
        conn.execute(f"CREATE DATABASE {database} OWNER {names['owner']}")
        try:
            urls = {role: postgres.url_of(database, name) for role, name in names.items()}
            with Store[Any](urls["owner"]) as s:
                s["a"] = [1]
            with psycopg.connect(urls["owner"], autocommit=True) as owner:
                owner.execute(granted(names))
            yield urls
        finally:
            conn.execute(f"DROP DATABASE {database} WITH (FORCE)")
            for name in reversed(names.values()):
                conn.execute(f"DROP ROLE {name}")


def granted(names: dict[str, str]) -> str:
    """The statements of the page, for roles of these names."""
    (text,) = [block for block in re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL) if "GRANT" in block]
    return re.sub(r"\b(TO|FROM) (app|viewer);", lambda found: f"{found[1]} {names[found[2]]};", text)


def test_app_reads_and_writes_everything(roles: dict[str, str]) -> None:
    with Store[Any](roles["app"]) as s:
        with s.edit("a") as value:
            value.append(2)
        s.put("short", 1, ttl=60)
        s.update({"b": 2, "c": 3, "large": bytes(2_000_000)})
        s.incr("n")
        with s.transaction():
            del s["b"]
            s["d"] = 4
        assert s.add("e", 5)
        s.touch("short", ttl=90)
        assert s.delete_prefix("c") == 1
        with s.within("x") as part:
            part["y"] = 1
            part.clear()
        assert dict(s) == {"a": [1, 2], "short": 1, "large": bytes(2_000_000), "n": 1, "d": 4, "e": 5}


def test_app_cannot_replace_the_id(roles: dict[str, str]) -> None:
    with psycopg.connect(roles["app"]) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("UPDATE store.identity SET id = id")


def test_viewer_reads(roles: dict[str, str]) -> None:
    with Store[Any](roles["viewer"], mode="r") as s:
        assert dict(s) == {"a": [1]} and s.record("a").revision == 1
        assert next(iter(s.records())).name == "a"
        with pytest.raises(ReadOnly):
            s["a"] = 2
    with Store[Any](roles["viewer"]) as s, pytest.raises(ReadOnly, match="lacks a right"):
        s["a"] = 2


def test_without_the_right_to_make_a_schema(roles: dict[str, str]) -> None:
    with pytest.raises(ReadOnly, match="lacks a right"):
        Store[Any](f"{roles['app']}?schema=another")
    with pytest.raises((StoreNotFound, NotAStore, StorageError)):
        Store[Any](f"{roles['app']}?schema=another", mode="r")


def test_error_names_the_grants_that_are_missing(roles: dict[str, str]) -> None:
    with psycopg.connect(roles["owner"], autocommit=True) as owner:

        def grant(mode: str) -> str:
            with pytest.raises(ReadOnly, match="an administrator can permit it: GRANT") as caught:
                Store[Any](roles["app"], mode=mode).close()
            grants = caught.value.message.rpartition("permit it: ")[2]
            owner.execute(grants)
            return str(grants)

        role = "rights_app"
        for what in ("SCHEMA store", "ALL TABLES IN SCHEMA store", "ALL SEQUENCES IN SCHEMA store"):
            owner.execute(f"REVOKE ALL ON {what} FROM {role}")
        assert "INSERT" not in grant("r") and "CREATE" not in grants_of(owner, role)
        with Store[Any](roles["app"], mode="r") as s:
            assert s["a"] == [1]
        owner.execute(f"REVOKE ALL ON SCHEMA store FROM {role}")
        assert "CREATE" not in grant("w")
        with Store[Any](roles["app"], mode="w") as s, s.lock("job"):
            s["large"] = bytes(2_000_000)
            with s.transaction():
                s["a"] = 2


def grants_of(owner: Any, role: str) -> list[str]:
    """The rights of a role on the schema of the store."""
    held = owner.execute(
        "SELECT privilege_type FROM pg_namespace, aclexplode(nspacl) WHERE nspname = 'store' AND grantee = %s::regrole",
        (role,),
    )
    return [right for (right,) in held.fetchall()]


def test_error_of_a_lock_names_the_role(roles: dict[str, str]) -> None:
    with Store[Any](roles["viewer"], mode="r") as s, pytest.raises(ReadOnly, match='"rights_viewer" lacks a right'):
        s.lock("job").acquire()
