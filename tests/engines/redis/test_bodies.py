"""Bodies that were read before are sent again only if they changed, and are never stale."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from store import Store
from store.engines.bodies import LEAST_BYTES
from store.engines.contract import Fields
from store.errors import Tampered

LARGE = LEAST_BYTES * 4


@pytest.fixture
def s(redis_url: str) -> Iterator[Store[Any]]:
    with Store[Any](redis_url) as opened:
        yield opened


@pytest.fixture
def other(redis_url: str, s: Store[Any]) -> Iterator[Store[Any]]:
    """A handle that reads through no kept body."""
    with Store[Any](redis_url, cache_bytes=0) as opened:
        yield opened


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """`sent(store, name…)`: for each round trip that reading those takes, how many bytes the rows have that come."""

    def sizes(store: Store[Any], *names: str) -> list[int]:
        client, found = store.opened.engine.handle.server.client, []  # type: ignore[attr-defined]
        run = client.run

        def counting(*call: Any) -> Any:
            answer = run(*call)
            found.append(sum(len(row) for row in answer if row is not None))
            return answer

        with monkeypatch.context() as patched:
            patched.setattr(client, "run", counting)
            store.get_many(names) if len(names) > 1 else store[names[0]]
        return found

    return sizes


def test_unchanged_body_is_not_sent_again_by_one_round_trip(s, sent):
    s["a"] = os.urandom(LARGE)
    (first,), (second,) = sent(s, "a"), sent(s, "a")
    assert first > LARGE and second < 300
    assert s["a"] == s["a"]


def test_of_many_records_only_the_changed_bodies_are_sent(s, other, sent):
    values = {name: os.urandom(LARGE) for name in "abc"}
    s.update(values)
    assert s.get_many("abcd") == values
    other["b"] = values["b"] = os.urandom(LARGE)
    del other["c"], values["c"]
    (size,) = sent(s, *"abcd")
    assert LARGE < size < LARGE + 1000
    assert s.get_many("abcd") == values


def test_small_body_is_sent_each_time(s, sent):
    s["a"] = "small"
    assert sent(s, "a") == sent(s, "a")


def test_body_that_another_process_changed_is_sent(s, start, redis_url):
    writer = start(
        """
        import sys
        from store import Store
        with Store(sys.argv[1]) as s:
            while text := sys.stdin.readline().strip():
                s["a"] = text * 20_000
                print("written", flush=True)
        """,
        redis_url,
    )
    s["a"] = "x" * LARGE
    for number in range(5):
        assert len(s["a"]) > 0
        writer.say(str(number))
        assert writer.hear() == "written"
        assert s["a"] == f"{number}" * 20_000
    writer.say("")


def test_deleted_record_is_gone_and_one_written_again_is_new(s, other):
    s["a"] = "x" * LARGE
    assert s["a"] == "x" * LARGE
    del other["a"]
    assert "a" not in s and s.get("a") is None
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
    assert sent(s, "a")[0] > LARGE  # another seal
    assert s.record("a").expires is not None


def test_body_that_was_changed_under_its_seal_is_tampered_where_it_was_not_kept(s, other, redis, redis_url):
    s["a"] = "x" * LARGE
    assert s["a"] == "x" * LARGE
    key = s.opened.engine.handle.server.keys("").rows
    with redis.client(decode_responses=False) as client:
        row = client.hget(key, "a")
        client.hset(key, "a", row[:-1] + b"!")
    with pytest.raises(Tampered):
        other["a"]
    assert s["a"] == "x" * LARGE, "it keeps what it has verified"
    with redis.client(decode_responses=False) as client:
        client.hset(key, "a", row[:60] + b"!" + row[61:])  # in the seal
    with pytest.raises(Tampered):
        s["a"]


def test_cache_bytes_of_zero_keeps_none(other, sent):
    other["a"] = "x" * LARGE
    assert sent(other, "a") == sent(other, "a") and sent(other, "a")[0] > LARGE


def test_nothing_is_kept_after_an_error_or_a_close(s, monkeypatch):
    s["a"] = "x" * LARGE
    engine = s.opened.engine
    bodies = engine.handle.bodies

    def failing() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(engine._reading, "_run", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                engine.get("", ("a",), Fields.SEALED)

    for drop in (failing, s.close):
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
