"""What the server's statistics say of reads: each record that is looked up, and not those that are gone over."""

from __future__ import annotations

from typing import Any

import pytest

from store import Store
from store.care.survey import survey

RECORDS = 2000


@pytest.fixture
def s(postgres_url: str) -> Any:
    with Store[Any](postgres_url) as s:
        s.update({str(number): number for number in range(RECORDS)})
        yield s


def reads(s: Store[Any]) -> int:
    """The figure, with all that this thread's session has done."""
    handle = s.opened.engine.handle  # type: ignore[attr-defined]
    handle.one("SELECT pg_stat_force_next_flush()::text", ())
    found = s.opened.engine.activity.figures().reads  # type: ignore[union-attr]
    assert found is not None
    return int(found)


def test_each_record_that_is_looked_up_is_a_read(s: Store[Any]) -> None:
    before = reads(s)
    for number in range(10):
        s.get(str(number))
    assert reads(s) - before == 10
    s.get_many([str(number) for number in range(50)])
    assert 11 <= reads(s) - before <= 60  # the server may look for all of them in one pass


def test_counts_and_surveys_are_not_reads_of_all_records(s: Store[Any]) -> None:
    before = reads(s)
    assert len(s) == survey(s.opened).records == RECORDS
    assert reads(s) - before < 100
