"""What a caller with no part in what its slot is in the middle of does: on a connection of its own, where it can."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from store.engines.reentry import in_use, is_in_block

if TYPE_CHECKING:
    from store.engines.sqlite.engine.engine import Engine, Touched
    from store.engines.sqlite.engine.slot import Fetch, Slot

T = TypeVar("T")


def read_beside(
    engine: Engine, slot: Slot, problem: str, statement: str, params: Sequence[Any], fetch: Fetch[T], timeout: float
) -> T:
    """As `Engine.read`. In the block of its own that the program is in, the caller sees what the block has written.

    Else it sees what is committed. Raises: InUse: there is no other connection.
    """
    if is_in_block(slot):
        return slot.run(statement, params, fetch, timeout)
    if engine.network:
        raise in_use(slot, problem)
    beside = engine.open_slot()
    try:
        return beside.run(statement, params, fetch, timeout)
    finally:
        engine.close_slot(beside)


def write_beside(
    engine: Engine,
    slot: Slot,
    problem: str,
    statement: str,
    params: Sequence[Any],
    touched: Touched,
    size: int,
    timeout: float,
) -> tuple[int, bytes | None]:
    """As `Engine.write`, where this thread has no lock yet, or no more. Raises: InUse: it has, or there is none."""
    if engine.network or engine.writer_lock.is_mine():
        raise in_use(slot, problem)
    beside = engine.open_slot()
    try:
        return engine.write_alone(beside, statement, params, touched, size, timeout)
    finally:
        engine.close_slot(beside)
