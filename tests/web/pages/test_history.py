"""The revisions of records that were seen, in bounds."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

from store.web.history import MOST_NAME, MOST_TEXT, History


def test_state_that_is_seen_twice_is_kept_once(s):
    s["a"] = 1
    history = History()
    for now in (1.0, 2.0):
        history.note("", "a", s.record("a"), now)
    s["a"] = 2
    history.note("", "a", s.record("a"), 3.0)
    history.note("", "a", None, 4.0)
    seen = history.of("", "a")
    assert [one.noticed for one in seen] == [1.0, 3.0, 4.0]
    assert [one.record and one.record.revision for one in seen] == [1, 2, None]


def test_state_that_a_slow_page_tells_of_late_is_left_out(s):
    history = History()
    records = []
    for number in range(3):
        s["a"] = number
        records.append(s.record("a"))
    for record in (records[0], records[2], records[1]):
        history.note("", "a", record, 1.0)
    assert [one.record.revision for one in history.of("", "a")] == [1, 3]
    made_again = dataclasses.replace(records[0], created=records[0].created + timedelta(seconds=1))
    history.note("", "a", made_again, 2.0)
    assert [one.record.revision for one in history.of("", "a")] == [1, 3, 1]


def test_oldest_states_and_records_go_first(s):
    history = History(records=2, revisions=3)
    for number in range(5):
        s["a"] = number
        history.note("", "a", s.record("a"), float(number))
    assert [one.noticed for one in history.of("", "a")] == [2.0, 3.0, 4.0]
    for name in ("b", "c"):
        history.note("", name, None, 9.0)
    assert history.of("", "a") == [] and len(history.of("", "c")) == 1


def test_recent_ones_come_first():
    history = History()
    for now, name in ((3.0, "a"), (1.0, "b"), (2.0, "c")):
        history.note("", name, None, now)
    assert [name for _, name, _ in history.recent(2)] == ["a", "c"]


def test_texts_of_a_crafted_file_are_cut(s):
    s["a"] = 1
    crafted = dataclasses.replace(s.record("a"), type="x" * 10_000, codec="y" * 10_000, python="z" * 10_000)
    history = History()
    history.note("", "a", crafted, 1.0)
    (seen,) = history.of("", "a")
    assert seen.record is not None
    assert {len(seen.record.type or ""), len(seen.record.codec), len(seen.record.python or "")} == {MOST_TEXT}
    history.note("", "n" * MOST_NAME + "n", crafted, 1.0)
    assert len(history.recent(10)) == 1
