"""A body that has not changed since a handle read it is not sent again, and nothing stale is given out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from children import Start
from kept_bodies import sent_bodies

from store import Store
from store.engines.bodies import LEAST_BYTES
from store.engines.contract import Fields
from store.errors import Tampered

LARGE = LEAST_BYTES * 4
Sent = Callable[[Store[Any], str], list[int]]


@pytest.fixture
def other(url: str, s: Store[Any]) -> Iterator[Store[Any]]:
    """A handle that keeps no body."""
    with Store[Any](url, cache_bytes=0) as opened:
        yield opened


@pytest.fixture
def sent(url: str) -> Sent:
    """`sent(store, name)`: for each round trip that reading it takes, how many bytes of the body come."""

    def sizes(store: Store[Any], name: str) -> list[int]:
        with sent_bodies(store, url).recorded() as found:
            store[name]
        return found

    return sizes


def test_unchanged_body_is_not_sent_again_by_one_round_trip(s: Store[Any], sent: Sent) -> None:
    s["a"] = os.urandom(LARGE)
    (first,), (second,) = sent(s, "a"), sent(s, "a")
    assert first > LARGE and second == 0
    assert s["a"] == s["a"]


def test_small_body_is_sent_each_time(s: Store[Any], sent: Sent) -> None:
    s["a"] = "small"
    (first,), (second,) = sent(s, "a"), sent(s, "a")
    assert first == second > 0


def test_body_that_another_handle_changed_is_sent(s: Store[Any], other: Store[Any]) -> None:
    s["a"] = "x" * LARGE
    for number in range(5):
        other["a"] = f"{number}" * LARGE
        assert s["a"] == f"{number}" * LARGE
    other["a"] = "small"
    assert s["a"] == "small"


def test_body_that_another_process_changed_is_sent(s: Store[Any], start: Start, url: str) -> None:
    writer = start(
        """
        import sys
        from store import Store
        with Store(sys.argv[1]) as s:
            while text := sys.stdin.readline().strip():
                s["a"] = text * 20_000
                print("written", flush=True)
        """,
        url,
    )
    s["a"] = "x" * LARGE
    for number in range(5):
        assert len(s["a"]) > 0
        writer.say(str(number))
        assert writer.hear() == "written"
        assert s["a"] == f"{number}" * 20_000
    writer.say("")


def test_deleted_record_is_gone_and_one_written_again_is_new(s: Store[Any], other: Store[Any]) -> None:
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


def test_own_transaction_reads_what_it_wrote_and_a_rollback_what_was(s: Store[Any]) -> None:
    s["a"] = "x" * LARGE
    assert s["a"] == "x" * LARGE
    with pytest.raises(ZeroDivisionError), s.transaction():
        s["a"] = "y" * LARGE
        assert s["a"] == "y" * LARGE
        1 / 0
    assert s["a"] == "x" * LARGE


def test_expiry_that_another_handle_changed_counts(s: Store[Any], other: Store[Any], sent: Sent) -> None:
    s.put("a", "x" * LARGE, ttl=None)
    assert s["a"] == "x" * LARGE
    other.touch("a", ttl=3600)
    assert sum(sent(s, "a")) > LARGE  # another seal
    assert s.record("a").expires is not None


def test_body_that_was_changed_under_its_seal_is_tampered_where_it_was_not_kept(
    s: Store[Any], other: Store[Any], url: str
) -> None:
    s["a"] = "x" * LARGE
    assert s["a"] == "x" * LARGE
    row = sent_bodies(s, url)
    row.change_body()
    with pytest.raises(Tampered):
        other["a"]
    assert s["a"] == "x" * LARGE, "it keeps what it has verified"
    row.change_seal()
    with pytest.raises(Tampered):
        s["a"]


def test_cache_bytes_of_zero_keeps_none(other: Store[Any], sent: Sent) -> None:
    other["a"] = "x" * LARGE
    (first,), (second,) = sent(other, "a"), sent(other, "a")
    assert first == second > LARGE


def test_nothing_is_kept_after_an_error_or_a_close(s: Store[Any], url: str) -> None:
    s["a"] = "x" * LARGE
    engine: Any = s.opened.engine

    def fail() -> None:
        with sent_bodies(s, url).failing(), pytest.raises(ZeroDivisionError):
            engine.get("", ("a",), Fields.SEALED)

    for drop in (fail, s.close):
        assert s["a"] == "x" * LARGE
        assert engine.handle.bodies.get("", "a") is not None
        drop()
        assert engine.handle.bodies.get("", "a") is None


def test_forked_child_begins_with_none(s: Store[Any]) -> None:
    s["a"] = "x" * LARGE
    assert s["a"] == "x" * LARGE
    child = os.fork()
    if child == 0:
        os._exit(0 if s.opened.engine.handle.bodies.get("", "a") is None else 1)  # type: ignore[attr-defined]
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert s["a"] == "x" * LARGE
