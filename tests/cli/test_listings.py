"""What lists records: the same options everywhere, orders, JSON; and the figures of a store."""

import json
import re

import pytest

from store import Store

FIELDS = {
    "namespace", "name", "codec", "protocol", "type", "python", "size", "revision", "created", "modified",
    "expires", "sealed_by", "version",
}  # fmt: skip


@pytest.fixture
def timed(place, clock):
    """Five records of an hour, of different sizes and lifetimes; the clock stands an hour after the first."""
    with Store(place, clock=clock) as s:
        for name, size, ttl in [("a", 300, None), ("b", 100, 86400), ("c", 2000, 7200), ("d", 1, None), ("e", 50, 90000)]:
            s.put(name, b"x" * size, ttl=ttl)
            clock.advance(900)
        with s.within("web") as web:
            web.update({"x": b"x" * 5000, "y": 1})
        with s.within("a web") as other:
            other["z"] = 1
    return place


def names_of(out):
    return "".join(line.rpartition(" ")[2] for line in out.splitlines()[1:])


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ([], "abcde"),
        (["--reverse"], "edcba"),
        (["--sort", "size"], "cabed"),
        (["--sort", "size", "--reverse"], "debac"),
        (["--sort", "size", "--limit", "2"], "ca"),
        (["--sort", "modified"], "edcba"),
        (["--sort", "modified", "--reverse", "--limit", "3"], "abc"),
        (["--sort", "expires"], "cbead"),  # those for ever last, by name
        (["--sort", "expires", "--limit", "0"], ""),
        (["--after", "b"], "cde"),
        (["--after", "b", "--limit", "1"], "c"),
        (["--after", "c", "--reverse"], "ba"),
        (["--reverse", "--limit", "2"], "ed"),
        (["--limit", "2"], "ab"),
        (["--prefix", "c"], "c"),
        (["--prefix", "c", "--sort", "size"], "c"),
    ],
)
def test_order_and_pages_are_the_same_in_every_form(run, timed, clock, options, names):
    assert run("ls", timed, *options, clock=clock).out.split() == list(names)
    assert names_of(run("ls", timed, "--long", *options, clock=clock).out) == names
    assert names_of(run("records", timed, *options, clock=clock).out) == names
    assert names_of(run("records", timed, "--long", *options, clock=clock).out) == names
    for command in ("ls", "records"):
        assert [one["name"] for one in json.loads(run(command, timed, "--json", *options, clock=clock).out)] == list(names)


@pytest.mark.slow
def test_more_than_a_page_either_way(run, place):
    names = [f"n{number:05}" for number in range(1300)]
    with Store(place) as s:
        s.update(dict.fromkeys(names))
    assert run("ls", place, "--reverse").out.split() == names[::-1]
    assert run("ls", place, "--reverse", "--after", "n01200", "--limit", "1100").out.split() == names[100:1200][::-1]
    assert [one["name"] for one in json.loads(run("records", place, "--json", "--limit", "700").out)] == names[:700]
    assert run("records", place, "--sort", "modified").out.count("\n") == 1301


def test_sorting_with_a_limit_holds_no_more_than_that(run, timed, monkeypatch):
    """Sorting everything to show a few would hold the metadata of everything."""
    monkeypatch.setattr("store.cli.reading.selection.sorted", None, raising=False)
    assert run("ls", timed, "--sort", "size", "--limit", "2").out == "c\na\n"


def test_records_are_as_old_as_the_clock_says(run, timed, clock):
    heading, first, second, third, *_ = run("records", timed, clock=clock).out.splitlines()
    assert re.split("  +", heading.strip()) == ["size", "rev", "modified", "expires", "type", "name"]
    assert re.split("  +", first.strip())[1:] == ["1", "1 h ago", "never", "bytes", "a"]
    assert re.split("  +", second.strip())[2:4] == ["1 h ago", "in 23 h"]  # after 60 of its 86,400 seconds
    assert re.split("  +", third.strip())[0] == "2.0 KiB" and "in 75 min" not in third and "in 1 h" in third
    clock.advance(7200)
    assert names_of(run("records", timed, clock=clock).out) == "abde"


def test_records_long_has_all_that_is_known(run, timed, clock):
    heading, line = run("records", timed, "--long", "--utc", "--bytes", "--limit", "1", clock=clock).out.splitlines()
    assert re.split("  +", heading.strip()) == [
        "size", "rev", "created", "modified", "expires", "codec", "python", "sealed by", "type", "name",
    ]  # fmt: skip
    with Store(timed, clock=clock) as s:
        record = s.record("a")
    moment = f"{record.created:%Y-%m-%d %H:%M:%SZ}"
    assert re.split("  +", line.strip()) == [
        str(record.size), "1", moment, moment, "never", "pickle 5", record.python, record.sealed_by,
        "bytes", "a",
    ]  # fmt: skip


@pytest.mark.parametrize("command", ["ls", "records"])
def test_json_has_stable_keys(run, timed, clock, command):
    found = json.loads(run(command, timed, "--json", clock=clock).out)
    assert all(set(one) == FIELDS for one in found)
    assert run(command, timed, "--json", "--prefix", "nothing", clock=clock).out == "[]\n"
    documented = " ".join(run("records", "--help").out.split())
    assert all(re.search(rf"\b{field}\b", documented) for field in FIELDS)


def test_nothing_here_is_told_where_it_was_not_asked_for(run, timed, clock):
    for command in ("ls", "records"):
        result = run(command, timed, "--namespace", "nowhere", clock=clock)
        assert result == (0, "", 'store: nothing here; these namespaces have records: "", a web, web\n')
        assert run(command, timed, "--namespace", "nowhere", "--prefix", "x", clock=clock) == (0, "", "")


# -- namespaces


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ([], ["", "a web", "web"]),
        (["--reverse"], ["web", "a web", ""]),
        (["--reverse", "--after", "web"], ["a web", ""]),
        (["--sort", "records"], ["", "web", "a web"]),
        (["--sort", "size"], ["web", "", "a web"]),
        (["--sort", "size", "--reverse", "--limit", "2"], ["a web", ""]),
        (["--prefix", "a"], ["a web"]),
        (["--after", ""], ["a web", "web"]),
        (["--limit", "1"], [""]),
    ],
)
def test_namespaces_in_order_with_figures(run, timed, clock, options, names):
    found = json.loads(run("namespaces", timed, "--json", *options, clock=clock).out)
    with Store(timed, clock=clock) as s:
        for one in found:
            stats = s.within(one["namespace"]).stats()
            assert one == {"namespace": one["namespace"], "records": stats.records, "bytes": stats.bytes}
    assert [one["namespace"] for one in found] == names
    heading, *lines = run("namespaces", timed, *options, clock=clock).out.splitlines()
    assert heading.split() == ["records", "size", "namespace"]
    assert [re.split("  +", line.strip())[2] for line in lines] == [name or '""' for name in names]


def test_namespaces_of_an_empty_store(run, place):
    Store(place).close()
    assert run("namespaces", place) == (0, "", "")
    assert run("namespaces", place, "--json") == (0, "[]\n", "")


# -- stats


def test_stats_of_all_namespaces_and_of_one(run, timed, clock):
    with Store(timed, clock=clock) as s:
        s.put("j", 1, codec="json")
        each = [s.within(name).stats() for name in s.namespaces()]
    found = json.loads(run("stats", timed, "--json", clock=clock).out)
    assert found == {
        "path": str(timed), "namespace": None, "records": 9, "bytes": sum(one.bytes for one in each),
        "codecs": {"pickle": 8, "json": 1}, "protocols": {"pickle 5": 8, "json 1": 1}, "namespaces": 3,
        "spill_files": 0, "spill_bytes": 0,
        "file_bytes": found["file_bytes"], "wal_bytes": found["wal_bytes"], "wal_pinned_bytes": 0,
        "wal_pinned_by": None, "wal_pinned_seconds": 0.0, "checkpoint_error": None, "purge_error": None,
    }  # fmt: skip
    assert found["file_bytes"] + found["wal_bytes"] > found["bytes"]
    web = json.loads(run("stats", timed, "--json", "--namespace", "web", clock=clock).out)
    assert (web["namespace"], web["records"], web["codecs"]) == ("web", 2, {"pickle": 2})
    documented = run("stats", "--help").out
    assert all(key in documented for key in found)


def test_stats_count_files_of_large_values(run, path):
    with Store(path, spill_bytes=100) as s:
        s.update(a=b"x" * 1000, b=b"y" * 1000, c="in its row")
        s.within("web")["d"] = b"z" * 1000
        found = s.stats()
        assert found.spill_files == 2
        assert 2000 < found.spill_bytes <= found.bytes
    every = json.loads(run("stats", path, "--json").out)
    assert every["spill_files"] == 3
    assert 3000 < every["spill_bytes"] < every["bytes"]
    assert json.loads(run("info", path, "--json").out)["spill_files"] == 2
    assert "files of large values  3\n" in run("stats", path).out
    with Store(path) as s:
        s["a"] = 1
        assert s.stats().spill_files == 1


def test_stats_for_people(run, timed, clock):
    lines = dict(re.split("  +", line) for line in run("stats", timed, clock=clock).out.splitlines())
    assert set(lines) == {
        "path", "namespace", "records", "size", "codecs", "protocols", "namespaces", "file size", "WAL size",
        "WAL pinned", "WAL pinned by", "WAL pinned for", "checkpoint error", "purge error", "files of large values", "size of files",
    }  # fmt: skip
    assert (lines["namespace"], lines["records"], lines["codecs"]) == ("every one", "8", "pickle: 8")
    assert lines["size"].endswith("KiB")
    exact = dict(re.split("  +", line) for line in run("stats", timed, "--bytes", clock=clock).out.splitlines())
    assert int(exact["size"]) > 7000


def test_info_of_a_record_has_times_with_ages(run, timed, clock):
    lines = dict(re.split("  +", line, maxsplit=1) for line in run("info", timed, "b", clock=clock).out.splitlines())
    with Store(timed, clock=clock) as s:
        record = s.record("b")
    assert lines["expires"] == f"{record.expires:%Y-%m-%d %H:%M:%SZ} (in 23 h)"
    assert lines["created"].endswith(" (1 h ago)")
    assert lines["size"] == f"{record.size} B"
