"""`touch` and `purge`."""

import json
import re

import pytest

from store import Store


@pytest.fixture
def ending(place, clock):
    """Records that expire after 10 and 20 seconds, in two namespaces, and one that does not."""
    with Store(place, clock=clock) as s:
        s.put("ten", "x" * 2000, ttl=10)
        s.put("twenty", 1, ttl=20)
        s["ever"] = 1
        with s.within("web") as web:
            web.put("ten", 1, ttl=10)
    return place


def everything(path):
    with Store(path, mode="r", clock=lambda: 0.0) as s:
        return {(space, name) for space in s.namespaces() for name in s.within(space)}


ALL = {("", "ten"), ("", "twenty"), ("", "ever"), ("web", "ten")}


def test_touch_gives_a_new_lifetime_from_now_on(run, ending, clock):
    clock.advance(5)
    assert run("touch", ending, "ten", "ever", "--ttl", "100.5", clock=clock) == (0, "", "")
    with Store(ending, clock=clock) as s:
        assert [s.record(name).expires.timestamp() - clock.now for name in ("ten", "ever")] == [100.5, 100.5]
        assert s["ten"] == "x" * 2000


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("0.5", 0.5), ("2s", 2), ("30m", 1800), ("1.5h", 5400), ("7d", 604800), ("1w", 604800)])
def test_ttl_with_a_unit(run, place, clock, text, seconds):
    assert run("set", place, "it", "1", "--ttl", text, clock=clock).code == 0
    with Store(place, clock=clock) as s:
        assert s.record("it").expires.timestamp() == clock.now + seconds
    clock.advance(0.25)
    assert run("touch", place, "it", "--ttl", text, clock=clock).code == 0
    with Store(place, clock=clock) as s:
        assert s.record("it").expires.timestamp() == clock.now + seconds


def test_touch_forever_and_in_a_namespace(run, ending, clock):
    assert run("touch", ending, "ten", "--forever", "--namespace", "web", clock=clock).code == 0
    with Store(ending, clock=clock) as s:
        assert s.within("web").record("ten").expires is None
        assert s.record("ten").expires is not None


def test_touch_of_all_or_none(run, ending, clock):
    assert run("touch", ending, "ten", "nobody", "--forever", clock=clock).code == 1
    clock.advance(15)
    assert run("touch", ending, "twenty", "ten", "--forever", clock=clock).code == 1  # one has expired
    with Store(ending, clock=clock) as s:
        assert s.record("twenty").expires is not None


@pytest.mark.filterwarnings("always")
@pytest.mark.damaged
def test_touch_of_what_is_not_yours(run, place):
    with Store(place, key="somebody else's key") as s:
        s["theirs"] = 1
    code, out, err = run("touch", place, "theirs", "--ttl", "5")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("store: record 'theirs' was not sealed with a key of yours")


def test_purge_deletes_what_has_expired_everywhere(run, ending, clock):
    assert run("purge", ending, clock=clock) == (0, "purged 0\n", "")
    clock.advance(15)
    assert everything(ending) == ALL
    assert run("purge", ending, clock=clock) == (0, "purged 2\n", "")
    assert everything(ending) == {("", "twenty"), ("", "ever")}
    clock.advance(15)
    assert json.loads(run("purge", ending, "--json", clock=clock).out) == {"purged": 1}


def test_purge_of_one_namespace(run, ending, clock):
    clock.advance(15)
    assert run("purge", ending, "--namespace", "web", clock=clock).out == "purged 1\n"
    assert everything(ending) == ALL - {("web", "ten")}
    assert run("purge", ending, "--namespace", "", clock=clock).out == "purged 1\n"


def test_purge_dry_run_shows_what_would_go_and_deletes_nothing(run, ending, clock):
    clock.advance(15)
    heading, *lines, last = run("purge", ending, "--dry-run", clock=clock).out.splitlines()
    assert heading.split() == ["size", "expired", "type", "namespace", "name"]
    assert [re.split("  +", line.strip()) for line in lines] == [
        ["2.0 KiB", "5 s ago", "str", '""', "ten"], ["5 B", "5 s ago", "int", "web", "ten"],
    ]  # fmt: skip
    assert last == "to be purged 2"
    assert everything(ending) == ALL
    found = json.loads(run("purge", ending, "--dry-run", "--json", clock=clock).out)
    assert [(one["namespace"], one["name"]) for one in found] == [("", "ten"), ("web", "ten")]
    found = json.loads(run("purge", ending, "--dry-run", "--json", "--namespace", "web", clock=clock).out)
    assert [one["namespace"] for one in found] == ["web"]
    before = run("purge", ending, "--dry-run", clock=lambda: clock.now - 15)
    assert before == (0, "to be purged 0\n", "")


@pytest.mark.filterwarnings("ignore:.*a key this program does not hold")
@pytest.mark.damaged
def test_purge_leaves_what_is_not_yours_and_dry_run_says_so(run, place, clock):
    with Store(place, key="somebody else's key", clock=clock) as s:
        s.put("theirs", 1, ttl=5)
    with Store(place, clock=clock) as s:
        s.put("mine", 1, ttl=5)
    clock.advance(6)
    assert [one["name"] for one in json.loads(run("purge", place, "--dry-run", "--json", clock=clock).out)] == ["mine"]
    assert run("purge", place, clock=clock).out == "purged 1\n"
    assert everything(place) == {("", "theirs")}
