"""How many round trips to the server an operation takes, counted by the protocol: the table in the engine's README."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from postgres_round_trips import RoundTrips, round_trips
from postgres_server import PostgresServer

from store import Store

README = Path(__file__).parents[3] / "store/engines/postgres/README.md"
MANY = {f"many:{number:03}": number for number in range(400)}


@pytest.fixture
def trips(postgres: PostgresServer) -> Iterator[RoundTrips]:
    with round_trips(postgres.port) as counted:
        yield counted


@pytest.fixture(params=["none", "transaction"])
def s(request: pytest.FixtureRequest, trips: RoundTrips, postgres_url: str) -> Iterator[Store[Any]]:
    """A store that has been used: it knows its keys and the clock, and its statements are prepared."""
    url = re.sub(r":\d+/(\w+)", f":{trips.port}/\\1", postgres_url, count=1)
    with Store[Any](f"{url}&sslmode=disable&gssencmode=disable&pooler={request.param}") as opened:
        opened.update(MANY)
        opened.opened.purging.left = 1_000_000  # expired records are deleted now and then, by round trips of their own
        yield opened


def edit(s: Store[Any]) -> None:
    with s.edit("list") as value:
        value.append(1)


def sets_in_a_transaction(s: Store[Any]) -> None:
    with s.transaction():
        for number in range(100):
            s[f"many:{number:03}"] = number


OPERATIONS: dict[str, Callable[[Store[Any]], Any]] = {
    "s[k]": lambda s: s["many:001"],
    "s.get(k), where there is none": lambda s: s.get("nothing"),
    "k in s": lambda s: "many:001" in s,
    "s[k] = v": lambda s: s.__setitem__("many:001", 1),
    "del s[k]": lambda s: s.__delitem__("gone"),
    "s.get_many(…)": lambda s: s.get_many(MANY),
    "s.update(…), up to 500": lambda s: s.update(MANY),
    "len(s)": len,
    "a page of s.names()": lambda s: s.names(limit=200),
    "list(s.items()) of 400 records: its end, two pages": lambda s: [pair for pair in s.items() if pair[0] in MANY],
    "s.record(k)": lambda s: s.record("many:001"),
    "s.put(k, v)": lambda s: s.put("many:001", 1),
    "s.modify(k, fn), s.incr(k)": lambda s: s.incr("many:001"),
    "with s.edit(k)": edit,
    "s.add(k, v), where there is none": lambda s: s.add("gone", 1),
    "s.pop(k)": lambda s: s.pop("gone"),
    "a transaction of 100 sets": sets_in_a_transaction,
}


def table() -> dict[str, int]:
    """The figures of the README."""
    text = README.read_text("utf-8")
    section = text.partition("\n## Round trips\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| (\d+) \|", section, re.MULTILINE)
    return {what.replace("`", ""): int(count) for what, count in rows}


def prepare(s: Store[Any], what: str) -> None:
    """Make the record that an operation needs to be there, or not to be there."""
    s["list"] = []
    s["gone"] = 1
    if "add" in what:
        del s["gone"]


@pytest.mark.parametrize("what", OPERATIONS)
def test_round_trips_are_those_of_the_table(s: Store[Any], trips: RoundTrips, what: str) -> None:
    counted = []
    for _ in range(3):  # the first time statements are prepared, by a round trip of their own
        prepare(s, what)
        before = trips.count
        OPERATIONS[what](s)
        counted.append(trips.count - before)
    assert counted[2] == table()[what]


def test_table_has_every_operation() -> None:
    assert list(table()) == list(OPERATIONS)
