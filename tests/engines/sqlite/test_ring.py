"""The ring of changes on a plain buffer: what it tells, and where it says that it does not know."""

from __future__ import annotations

import random
import struct

import pytest

from store.engines.capabilities import Gap
from store.engines.sqlite.engine import ring as module
from store.engines.sqlite.engine.ring import HEADER, NAMES, SIZE, SLOT_BYTES, SLOTS, START, Ring, marker, space_of

SALTS = struct.pack(">II", 7, 8)


def header(change: int, state: int = 0, salts: bytes = SALTS) -> bytes:
    """The header of an index after the commit of that number; `state` tells apart what has the same number."""
    return struct.pack("=8xI12xII8s8x", change % 2**32, change % 2**32, state, salts)


def touched(*names: str) -> list[tuple[str, str]]:
    return [("", name) for name in names]


def marks(*names: str) -> list[int]:
    return [marker("")(name) for name in names]


def commit(ring: Ring, change: int, *names: str) -> None:
    """The commit that follows on the header of that number."""
    ring.announce(header(change))
    assert ring.confirm(header(change), header(change + 1), touched(*names))


@pytest.fixture
def buffer() -> bytearray:
    return bytearray(HEADER.ljust(SIZE, b"\0"))


@pytest.fixture
def ring(buffer: bytearray) -> Ring:
    return Ring(buffer)


def test_layout_is_on_disk_and_does_not_change() -> None:
    assert (START, SLOTS, SLOT_BYTES, NAMES, SIZE) == (64, 512, 128, 11, 65_600)
    assert struct.pack("=24s4I24x", b"store: ring of changes 1", 1, 64, 512, 128) == HEADER
    assert marker("sessions")("a") == space_of("sessions") << 32 | 0xC6582EA
    assert (space_of(""), space_of("sessions")) == (0x5893FDBE, 0xDCF3A28C)


@pytest.mark.parametrize("names", [(), ("a",), ("a", "b"), tuple(map(str, range(NAMES)))])
def test_names_of_one_commit(ring: Ring, names: tuple[str, ...]) -> None:
    commit(ring, 5, *names)
    assert ring.between(header(5), header(6)) == marks(*names)


@pytest.mark.parametrize("first", [0, 5, SLOTS - 2, 2**32 - 2, 2**32 - 1])
def test_names_of_several_commits(ring: Ring, first: int) -> None:
    for step, name in enumerate("abc"):
        commit(ring, first + step, name)
    assert ring.between(header(first), header(first + 3)) == marks("a", "b", "c")
    assert ring.between(header(first + 1), header(first + 2)) == marks("b")


@pytest.mark.parametrize("surrogate", ["\udc80", "a\ud800b"])
def test_any_text_is_a_name(ring: Ring, surrogate: str) -> None:
    ring.announce(header(1))
    assert ring.confirm(header(1), header(2), [(surrogate, surrogate)])
    assert ring.between(header(1), header(2)) == [marker(surrogate)(surrogate)]


def test_marks_tell_namespaces_apart() -> None:
    assert marker("a")("bc") != marker("ab")("c")
    assert marker("a")("x") >> 32 == space_of("a") != space_of("b")


def test_more_names_than_fit_are_not_described(ring: Ring) -> None:
    ring.announce(header(1))
    assert ring.confirm(header(1), header(2), touched(*map(str, range(NAMES + 1))))  # but it was the only commit
    assert ring.between(header(1), header(2)) is Gap.LOST


def test_commit_that_may_have_changed_anything(ring: Ring) -> None:
    ring.announce(header(1))
    assert not ring.confirm(header(1), header(2), None)
    assert ring.between(header(1), header(2)) is Gap.LOST


def test_commit_that_is_not_described_yet(ring: Ring) -> None:
    commit(ring, 1, "a")
    ring.announce(header(2))
    assert ring.between(header(1), header(3)) is Gap.NOT_YET
    assert ring.between(header(1), header(2)) == marks("a")
    ring.confirm(header(2), header(3), touched("b"))
    assert ring.between(header(1), header(3)) == marks("a", "b")


def test_writer_that_died_before_it_described_its_commit_is_lost_with_the_next(ring: Ring) -> None:
    ring.announce(header(1))
    assert ring.between(header(1), header(2)) is Gap.NOT_YET
    commit(ring, 2, "b")
    assert ring.between(header(1), header(3)) is Gap.LOST
    assert ring.between(header(2), header(3)) == marks("b")


def test_announced_commit_that_never_came_hides_nothing(ring: Ring) -> None:
    ring.announce(header(1))
    commit(ring, 1, "a")
    assert ring.between(header(1), header(2)) == marks("a")


def test_commit_of_another_program_is_lost(ring: Ring) -> None:
    commit(ring, 1, "a")
    assert ring.between(header(1), header(3)) is Gap.LOST
    assert ring.between(header(2), header(3)) is Gap.LOST


@pytest.mark.parametrize(("before", "after"), [(1, 3), (1, 1), (5, 4)])
def test_commit_that_is_not_alone_is_not_described(ring: Ring, before: int, after: int) -> None:
    """Another program committed beside it, or nothing was committed."""
    ring.announce(header(before))
    assert not ring.confirm(header(before), header(after), touched("a"))
    assert ring.between(header(before), header(before + 1)) is Gap.LOST


def test_number_that_another_program_took_after_the_announcement(ring: Ring) -> None:
    ring.announce(header(1))
    assert not ring.confirm(header(1), header(3), touched("a"))
    assert ring.between(header(1), header(2, 99)) is Gap.LOST
    assert ring.between(header(1), header(3)) is Gap.LOST


def test_recovery_that_sets_the_number_back(ring: Ring) -> None:
    """The same number, and the same salts, but another commit."""
    commit(ring, 1, "a")
    assert ring.between(header(1), header(2, 99)) is Gap.LOST
    assert ring.between(header(1, 99), header(2)) is Gap.LOST
    ring.announce(header(1, 99))
    ring.confirm(header(1, 99), header(2, 99), touched("b"))
    assert ring.between(header(1), header(2)) is Gap.LOST
    assert ring.between(header(9), header(2)) is Gap.LOST
    assert ring.between(header(1, 99), header(2, 99)) == marks("b")


def test_log_that_is_begun_anew_within_a_commit(ring: Ring) -> None:
    anew = struct.pack(">II", 8, 4711)
    commit(ring, 1, "a")
    ring.announce(header(2))
    assert ring.confirm(header(2), header(3, 0, anew), touched("b"))
    assert ring.between(header(1), header(3, 0, anew)) == marks("a", "b")
    assert ring.between(header(1), header(3)) is Gap.LOST


@pytest.mark.parametrize("salts", [struct.pack(">II", 9, 8), struct.pack(">II", 6, 8), struct.pack("<II", 8, 8)])
def test_log_that_was_replaced(ring: Ring, salts: bytes) -> None:
    ring.announce(header(1))
    assert not ring.confirm(header(1), header(2, 0, salts), touched("a"))
    assert ring.between(header(1), header(2, 0, salts)) is Gap.LOST


def test_index_without_a_log_has_no_state(ring: Ring) -> None:
    """Every database is in that state before its first commit."""
    ring.announce(header(0, 0, bytes(8)))
    assert not ring.confirm(header(0, 0, bytes(8)), header(1, 0, bytes(8)), touched("a"))
    assert ring.confirm(header(0, 0, bytes(8)), header(1), touched("a"))  # but it was the only commit
    assert ring.between(header(0, 0, bytes(8)), header(1)) is Gap.LOST


@pytest.mark.parametrize(("commits", "is_known"), [(SLOTS - 1, True), (SLOTS, True), (SLOTS + 1, False)])
def test_laps(ring: Ring, commits: int, is_known: bool) -> None:
    for number in range(3, 3 + commits):
        commit(ring, number, str(number))
    found = ring.between(header(3), header(3 + commits))
    assert found == (marks(*map(str, range(3, 3 + commits))) if is_known else Gap.LOST)
    assert ring.between(header(1 + commits), header(3 + commits)) == marks(str(1 + commits), str(2 + commits))


@pytest.mark.parametrize("length", range(SLOT_BYTES + 1))
def test_slot_that_is_being_written(ring: Ring, buffer: bytearray, length: int) -> None:
    """Each part of a slot beside the rest of another one, as another processor may see it."""
    start = START + 2 * SLOT_BYTES
    commit(ring, 1 - SLOTS, *"zyxw")
    old = buffer[start : start + SLOT_BYTES]
    commit(ring, 1, *"abcd")
    new = buffer[start : start + SLOT_BYTES]
    for mixed in (new[:length] + old[length:], old[:length] + new[length:]):
        buffer[start : start + SLOT_BYTES] = mixed
        found = ring.between(header(1), header(2))
        assert isinstance(found, Gap) or found == marks(*"abcd")
    buffer[start : start + SLOT_BYTES] = new
    assert ring.between(header(1), header(2)) == marks(*"abcd")
    assert ring.between(header(2), header(3)) is Gap.LOST


def test_bytes_of_anybody() -> None:
    """Nothing is believed, and nothing raises."""
    chance = random.Random(16)
    for _ in range(300):
        ring = Ring(bytearray(chance.randbytes(SIZE)))
        assert isinstance(ring.between(header(1), header(1 + chance.randrange(SLOTS))), Gap)
    for filled in (b"\0", b"\xff", b"\1"):
        assert isinstance(Ring(bytearray(filled * SIZE)).between(header(1), header(2)), Gap)


def test_slot_that_claims_more_names_than_fit(ring: Ring, buffer: bytearray) -> None:
    commit(ring, 1, "a")
    buffer[START + 2 * SLOT_BYTES + 4] = NAMES + 1
    assert ring.between(header(1), header(2)) is Gap.LOST


def test_program_that_uses_any_number_of_namespaces(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLOTS", 8)
    for number in range(30):
        ring.announce(header(number + 1))
        ring.confirm(header(number + 1), header(number + 2), [(str(number), "a")])
    assert len(ring._markers) <= 9
    assert ring.between(header(30), header(31)) == [marker("29")("a")]
