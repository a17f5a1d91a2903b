"""Bodies that were read before are sent again only if they changed, and are never stale."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from store import Store
from store.engines.bodies import LEAST_BYTES, Bodies
from store.engines.contract import Fields

LARGE = LEAST_BYTES * 4


@pytest.fixture
def s(postgres_url: str) -> Iterator[Store[Any]]:
    with Store[Any](postgres_url) as opened:
        yield opened


@pytest.fixture
def other(postgres_url: str, s: Store[Any]) -> Iterator[Store[Any]]:
    """A handle that reads through no kept body."""
    with Store[Any](postgres_url, cache_bytes=0) as opened:
        yield opened


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Callable[[Store[Any], str], int]:
    """How many bytes of the body the server sends when a store reads a name."""

    def size(store: Store[Any], name: str) -> int:
        handle = store.opened.engine.handle
        read, sizes = handle.read, []

        def recording(work: Any) -> Any:
            rows = read(work)
            sizes.extend(0 if row[7] is None else len(row[7]) for row in rows)
            return rows

        with monkeypatch.context() as patched:
            patched.setattr(handle, "read", recording)
            store[name]
        return sum(sizes)

    return size


def test_unchanged_body_is_not_sent_again(s, sent):
    s["a"] = os.urandom(LARGE)
    assert sent(s, "a") > LARGE
    assert sent(s, "a") == 0
    assert s["a"] == s["a"]


def test_small_body_is_sent_each_time(s, sent):
    s["a"] = "small"
    assert sent(s, "a") == sent(s, "a") > 0


def test_body_that_another_handle_changed_is_sent(s, other):
    s["a"] = "x" * LARGE
    for number in range(5):
        other["a"] = f"{number}" * LARGE
        assert s["a"] == f"{number}" * LARGE
    other["a"] = "small"
    assert s["a"] == "small"


def test_deleted_record_is_gone_and_one_written_again_is_new(s, other):
    s["a"] = "x" * LARGE
    assert s["a"] == "x" * LARGE
    del other["a"]
    assert "a" not in s
    assert s.get("a") is None
    other["a"] = "y" * LARGE  # its revision is 1 again
    assert s["a"] == "y" * LARGE
    del other["a"]
    other["a"] = "z" * LARGE  # no read in between
    assert s["a"] == "z" * LARGE


def test_own_transaction_reads_what_it_wrote_and_a_rollback_what_was(s):
    s["a"] = "x" * LARGE
    assert s["a"] == "x" * LARGE
    with pytest.raises(ZeroDivisionError), s.transaction():
        s["a"] = "y" * LARGE
        assert s["a"] == "y" * LARGE
        1 / 0
    assert s["a"] == "x" * LARGE


def test_expiry_that_another_handle_changed_counts(s, other, sent):
    s.put("a", "x" * LARGE, ttl=None)
    assert s["a"] == "x" * LARGE
    other.touch("a", ttl=3600)
    assert sent(s, "a") > LARGE  # another seal
    assert s.record("a").expires is not None


def test_body_that_was_changed_by_sql_under_its_seal_is_tampered_where_it_was_not_kept(s, other, postgres_url):
    import psycopg

    from store.errors import Tampered

    s["a"] = "x" * LARGE
    assert s["a"] == "x" * LARGE
    schema = re.search(r"schema=(\w+)", postgres_url)[1]
    with psycopg.connect(postgres_url.partition("?")[0], autocommit=True) as conn:
        conn.execute(f"UPDATE {schema}.records SET body = body || 'y'::bytea")
    with pytest.raises(Tampered):
        other["a"]
    assert s["a"] == "x" * LARGE  # it keeps what it has verified
    with psycopg.connect(postgres_url.partition("?")[0], autocommit=True) as conn:
        conn.execute(f"UPDATE {schema}.records SET seal = set_byte(seal, 20, 255 - get_byte(seal, 20))")
    with pytest.raises(Tampered):
        s["a"]


def test_cache_bytes_of_zero_keeps_none(other, sent):
    other["a"] = "x" * LARGE
    assert sent(other, "a") == sent(other, "a") > LARGE


def test_nothing_is_kept_after_an_error_or_a_close(s):
    s["a"] = "x" * LARGE
    bodies = s.opened.engine.handle.bodies
    for drop in (lambda: _failing(s), s.close):
        assert s["a"] == "x" * LARGE
        assert bodies.get("", "a") is not None
        drop()
        assert bodies.get("", "a") is None


def test_forked_child_begins_with_none(s):
    s["a"] = "x" * LARGE
    assert s["a"] == "x" * LARGE
    child = os.fork()
    if child == 0:
        os._exit(0 if s.opened.engine.handle.bodies.get("", "a") is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert s["a"] == "x" * LARGE


def _failing(s: Store[Any]) -> None:
    handle = s.opened.engine.handle
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(handle, "read", lambda work: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            s.opened.engine.get("", ("a",), Fields.SEALED)


def test_oldest_goes_first_within_the_bound():
    bodies = Bodies()
    bodies.keep_bytes(LARGE * 3)
    for name in "abcd":
        bodies.keep("", name, name.encode(), bytes(LARGE))
    assert [bodies.get("", name) is not None for name in "abcd"] == [False, True, True, True]
    bodies.keep("", "b", b"b", bytes(LARGE * 3))
    assert [bodies.get("", name) is not None for name in "abcd"] == [False, True, False, False]
    bodies.keep("", "b", b"b", b"small")
    bodies.keep("", "e", b"e", bytes(LARGE * 3 + 1))
    assert [bodies.get("", name) is not None for name in "be"] == [False, False]
