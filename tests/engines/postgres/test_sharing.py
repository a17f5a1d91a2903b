"""Several URLs of one store in one process: which ones are one server, and which options may differ."""

from __future__ import annotations

from typing import Any

import pytest

from store import LockTimeout, Store
from store.engines.postgres.location import parse
from store.engines.postgres.sharing import key_of

SAME = (
    ("postgresql://u@h/d", "postgresql://u@h:5432/d"),
    ("postgresql://u@h/d", "postgresql://h/d?user=u"),
    ("postgresql://u@h/d", "postgresql://u@h/d?schema=store"),
    ("postgresql://u@h/d", "postgresql://u:secret@h/d?pool_size=3&connect_timeout=5"),
    ("postgresql://u@h/d?connect_timeout=5&keepalives=1", "postgresql://u@h/d?keepalives=1&connect_timeout=5"),
    ("postgresql://u@h/u", "postgresql://u@h"),
    ("postgresql://u@a,b:5433/d", "postgresql://u@b:5433,a/d"),
    ("postgresql://u@h/d", "postgresql://u@h/d?target_session_attrs=read-write"),
    ("postgresql://u@h/d", "postgresql://u@h/d?sslmode=require"),
)
OTHERS = (
    ("postgresql://u@h/d", "postgresql://u@h/e"),
    ("postgresql://u@h/d", "postgresql://v@h/d"),
    ("postgresql://u@h/d", "postgresql://u@h:5433/d"),
    ("postgresql://u@a,b/d", "postgresql://u@a/d"),
    ("postgresql://u@h/d", "postgresql://u@h/d?schema=other"),
    ("postgresql://u@h/d", "postgresql://u@h/d?prefix=a_"),
    ("postgresql://u@a,b/d", "postgresql://u@a,b/d?target_session_attrs=prefer-standby"),
)
TOLD = (
    "synchronous_commit=local", "pooler=transaction", "sslmode=allow", "options=-c%20geqo%3Doff",
    "target_session_attrs=read-write",
)  # fmt: skip


@pytest.mark.parametrize(("one", "other"), SAME)
def test_urls_of_one_database_have_one_key(one: str, other: str) -> None:
    assert key_of(parse(one)) == key_of(parse(other))


@pytest.mark.parametrize(("one", "other"), OTHERS)
def test_urls_of_other_databases_users_and_tables_have_others(one: str, other: str) -> None:
    assert key_of(parse(one)) != key_of(parse(other))


@pytest.mark.parametrize(
    "options", ["&pool_size=1", "&connect_timeout=7&pool_size=16", "&application_name=beside", "&pooler=none"]
)
def test_thread_writes_through_another_url_inside_its_transaction(postgres_url: str, options: str) -> None:
    with Store[Any](postgres_url) as s, Store[Any](postgres_url + options, timeout=60) as other:
        with pytest.raises(ZeroDivisionError), s.transaction():
            s["a"] = 1
            other["a"] += 1
            with other.edit("b", []) as value:
                value.append(1)
            assert (s["a"], s["b"]) == (2, [1])
            raise ZeroDivisionError
        assert dict(other) == {}  # it was one transaction


@pytest.mark.parametrize("option", TOLD)
def test_url_with_another_option_that_matters_is_an_error_that_names_it(postgres_url: str, option: str) -> None:
    name = option.partition("=")[0]
    with Store[Any](postgres_url) as s, pytest.raises(ValueError, match=rf"open by a URL that differs in {name};"):
        Store[Any](f"{postgres_url}&{option}")
    if name not in ("pooler", "sslmode"):  # of those this server may not have
        with Store[Any](f"{postgres_url}&{option}") as s:  # once the other one is closed
            s["k"] = 1


def test_other_password_is_an_error_that_does_not_show_it(postgres_url: str) -> None:
    first, second = (postgres_url.replace("postgres@", f"postgres:{word}@") for word in ("oldsecret", "newsecret"))
    with Store[Any](first) as s:
        with pytest.raises(ValueError, match="differs in password;") as caught:
            Store[Any](second)
        assert "secret" not in str(caught.value)
        with Store[Any](postgres_url) as other, other.transaction():  # as a pickled store, which has none
            s["k"] = 1


def test_options_of_the_first_url_hold_until_its_handles_are_closed(postgres_url: str) -> None:
    def size_of(s: Store[Any]) -> int:
        return int(s.opened.engine.handle.sessions.location.pool_size)

    with Store[Any](f"{postgres_url}&pool_size=2") as s, Store[Any](f"{postgres_url}&pool_size=5") as other:
        assert (size_of(s), size_of(other)) == (2, 2)
    with Store[Any](f"{postgres_url}&pool_size=5", timeout=0.05) as s:
        assert size_of(s) == 5
        with Store[Any](f"{postgres_url}&hostaddr=127.0.0.1", timeout=0.05) as other, s.transaction():
            with pytest.raises(LockTimeout):  # it is not known that this is the same server
                other["k"] = 1
