"""Whose turn a lock is among threads: first come, first served, a few times each."""

from __future__ import annotations

import gc

from store.system.turns import PATIENCE, QUEUE_SECONDS, TURN, Ticket, Turns


def take(turns: Turns, thread: int, ticket: Ticket | None = None, *, is_late: bool = False) -> bool:
    return turns.take(thread, ticket, is_late=is_late)


def test_nobody_waits():
    turns = Turns()
    assert all(take(turns, 1 + number % 2) for number in range(10))
    assert all(take(turns, 1) for _ in range(3 * TURN))


def test_a_thread_gives_way_after_some_turns_in_a_row():
    turns, waiting = Turns(), Ticket(2)
    assert take(turns, 1)
    turns.join(waiting)
    assert [take(turns, 1) for _ in range(TURN)] == [True] * (TURN - 1) + [False]
    turns.wake()
    assert waiting.wake.is_set()
    assert take(turns, 2, waiting)
    assert take(turns, 1)


def test_a_newcomer_takes_nobody_s_turn():
    turns, first, second = Turns(), Ticket(2), Ticket(3)
    assert take(turns, 1)
    for ticket in (first, second, first):
        turns.join(ticket)
    assert not take(turns, 4)
    assert not take(turns, 3, second)
    assert take(turns, 2, first)
    assert not take(turns, 4)
    assert take(turns, 3, second)


def test_who_gives_up_is_no_longer_waited_for():
    turns, first, second = Turns(), Ticket(2), Ticket(3)
    for ticket in (first, second):
        turns.join(ticket)
    turns.leave(first)
    turns.wake()
    assert second.wake.is_set() and not first.wake.is_set()
    assert take(turns, 3, second)


def test_ticket_that_an_interrupt_dropped_no_longer_counts():
    turns, dropped, second = Turns(), Ticket(2), Ticket(3)
    turns.join(dropped)
    turns.join(second)
    del dropped
    gc.collect()
    assert take(turns, 3, second)
    assert take(turns, 4)


def test_ticket_that_a_traceback_keeps_is_given_up_in_the_end():
    turns, left, second = Turns(), Ticket(2), Ticket(3)
    turns.join(left)
    turns.join(second)
    assert [take(turns, 3, second, is_late=True) for _ in range(PATIENCE + 1)] == [False] * PATIENCE + [True]


def test_handler_of_a_signal_on_the_thread_that_waits():
    turns, outer = Turns(), Ticket(2)
    assert take(turns, 1)
    turns.join(outer)
    assert take(turns, 2)  # nobody else could go on before it
    assert take(turns, 2, outer)


def test_ticket_that_is_polled_is_late_now_and_then_only():
    ticket = Ticket(1, 100.0)
    assert [ticket.is_late(100.0 + n * QUEUE_SECONDS / 5) for n in range(12)] == [n in (5, 10) for n in range(12)]
