"""Bodies that a handle keeps: how many bytes of them."""

from __future__ import annotations

from store.engines.bodies import LEAST_BYTES, Bodies

LARGE = LEAST_BYTES * 4


def test_oldest_goes_first_within_the_bound() -> None:
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
