"""Each command, used rightly; in this process."""

import json
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from away import is_absent

from store import Store

# -- ls


def test_ls_shows_names_in_order(run, stocked):
    assert run("ls", stocked) == (0, "greeting\nsession:4f2a\nuser:1\nuser:2\n", "")


def test_ls_prefix_after_limit(run, stocked):
    assert run("ls", stocked, "--prefix", "user:").out == "user:1\nuser:2\n"
    assert run("ls", stocked, "--after", "session:4f2a").out == "user:1\nuser:2\n"
    assert run("ls", stocked, "--limit", "2").out == "greeting\nsession:4f2a\n"
    assert run("ls", stocked, "--prefix", "user:", "--after", "user:1", "--limit", "9").out == "user:2\n"
    assert run("ls", stocked, "--limit", "0") == (0, "", "")


@pytest.mark.slow
def test_ls_more_than_a_page(run, place):
    names = [f"n{number:05}" for number in range(1300)]
    with Store(place) as s:
        s.update(dict.fromkeys(names))
    assert run("ls", place).out.split() == names
    assert run("ls", place, "--limit", "1100", "--after", "n00001").out.split() == names[2:1102]
    assert [record["name"] for record in json.loads(run("ls", place, "--json").out)] == names
    assert run("ls", place, "--long").out.count("\n") == 1301  # one heading, not one for each page


def test_ls_namespace(run, stocked):
    assert run("ls", stocked, "--namespace", "settings") == (0, "limits\n", "")


def test_ls_of_an_empty_namespace_tells_where_records_are(run, stocked):
    result = run("ls", stocked, "--namespace", "elsewhere")
    assert result == (0, "", 'store: nothing here; these namespaces have records: "", settings\n')
    with Store(stocked) as s:
        s.clear()
        s.within("settings").clear()
    assert run("ls", stocked, "--namespace", "elsewhere") == (0, "", "")


def test_ls_long_shows_metadata(run, stocked):
    heading, line, *_ = run("ls", stocked, "--prefix", "user:", "--long").out.splitlines()
    assert heading.split() == ["size", "rev", "modified", "expires", "type", "name"]
    size, unit, revision, *age, expires, kind, name = line.split()
    assert (unit, revision, expires, kind, name) == ("B", "1", "never", "dict", "user:1")
    assert age == ["now"] or age[-1] == "ago"
    with Store(stocked) as s:
        record = s.record("user:1")
    assert int(size) == record.size
    _, line, *_ = run("ls", stocked, "--prefix", "user:", "--long", "--bytes", "--utc").out.splitlines()
    assert line.split()[:4] == [str(record.size), "1", *f"{record.modified:%Y-%m-%d %H:%M:%SZ}".split()]


def test_ls_json_has_all_metadata(run, stocked):
    records = json.loads(run("ls", stocked, "--json").out)
    with Store(stocked) as s:
        record = s.record("session:4f2a")
    found = records[1]
    assert set(found) == set(record.__slots__)
    assert datetime.fromisoformat(found["expires"]) == record.expires
    assert (found["name"], found["size"], found["sealed_by"]) == ("session:4f2a", record.size, record.sealed_by)
    assert run("ls", stocked, "--json", "--prefix", "nothing").out == "[]\n"


def test_ls_escapes_what_a_terminal_would_obey(run, place):
    with Store(place) as s:
        s.update(dict.fromkeys(["", " blank", "\x1b[31mred\n", '"quoted"', "plain é☃", "c1\x9b", "bidi\u202e"], 0))
    names = run("ls", place).out.splitlines()
    assert names == [
        '""', r'"\u001b[31mred\n"', '" blank"', r'"\"quoted\""', r'"bidi\u202e"', r'"c1\u009b"', "plain é☃",
    ]  # fmt: skip
    with Store(place) as s:
        assert {json.loads(name) if name.startswith('"') else name for name in names} == set(s)
    for form in ("--long", "--json"):
        assert not set(run("ls", place, form).out) & {"\x1b", "\x9b", "\u202e"}


# -- get


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"theme": "dark", "sizes": [1, 2.5, None, True]}, '{"theme": "dark", "sizes": [1, 2.5, null, true]}'),
        ("hello", '"hello"'),
        ("é☃", '"é☃"'),
        ("\x1b[31m\x9b\u202e\U000e0001", r'"\u001b[31m\u009b\u202e\udb40\udc01"'),
        ("\ud800", r'"\ud800"'),
        ((1, 2), "(1, 2)"),
        ({1: 2}, "{1: 2}"),
        ([{"a": (1,)}], "[{'a': (1,)}]"),
        (float("inf"), "inf"),
        (b"\x00", r"b'\x00'"),
        (datetime(2026, 1, 2, tzinfo=UTC), "datetime.datetime(2026, 1, 2, 0, 0, tzinfo=datetime.timezone.utc)"),
    ],
)  # fmt: skip
def test_get_shows_json_or_else_repr(run, place, value, shown):
    with Store(place) as s:
        s["it"] = value
    assert run("get", place, "it") == (0, shown + "\n", "")
    try:
        assert json.loads(shown) == value
    except ValueError:
        assert shown == repr(value)


def test_get_namespace(run, fails, stocked):
    assert run("get", stocked, "limits", "--namespace", "settings").out == "(-5, 5)\n"
    fails(1, "no record 'limits'", "get", stocked, "limits")
    fails(1, "'x' in namespace 'settings'", "get", stocked, "x", "--namespace", "settings")


def test_get_without_enough_memory(fails, place, monkeypatch):
    def refuse(self, names):
        raise MemoryError

    with Store(place) as s:
        s["it"] = 1
    monkeypatch.setattr(Store, "get_many", refuse)
    fails(1, "not enough memory", "get", place, "it")


def test_get_of_a_value_without_text(fails, place):
    with Store(place) as s:
        s["huge"] = [1 << 500_000]  # more digits than anybody reads
    fails(1, "has no text to show", "get", place, "huge")


# -- set


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, true, null]}', {"a": [1, True, None]}),
        ("{'a': (1, True, None)}", {"a": (1, True, None)}),
        ('"hello"', "hello"),
        ("'hello'", "hello"),
        (r"'\d'", r"\d"),
        (" 7\n", 7),
        ("-5", -5),
        ("-.5e3", -500.0),
        ("{1, 2}", {1, 2}),
        ("b'\\x00'", b"\0"),
        ("1j", 1j),
        ('"@x"', "@x"),
        ('"é☃"', "é☃"),
    ],
)
def test_set_takes_json_or_a_literal(run, place, text, value):
    assert run("set", place, "it", text) == (0, "", "")
    with Store(place) as s:
        assert s["it"] == value and type(s["it"]) is type(value)


def test_set_from_file_and_stdin(run, place, tmp_path, stdin):
    file = tmp_path / "value.json"
    file.write_text('{"text": "é"}\n', encoding="utf-8")
    assert run("set", place, "file", f"@{file}").code == 0
    stdin(b"(1,\n 2)\n")
    assert run("set", place, "stdin", "-").code == 0
    with Store(place) as s:
        assert dict(s) == {"file": {"text": "é"}, "stdin": (1, 2)}


def test_set_ttl_codec_namespace(run, place):
    assert run("set", place, "it", "[1]", "--ttl", "90.5", "--codec", "json", "--namespace", "n").code == 0
    with Store(place, namespace="n") as s:
        record = s.record("it")
        assert (s["it"], record.codec, record.expires - record.modified) == ([1], "json", timedelta(seconds=90.5))


def test_set_replaces_in_place(run, stocked):
    assert run("set", stocked, "greeting", "2").code == 0
    with Store(stocked) as s:
        assert s["greeting"] == 2 and s.record("greeting").revision == 2


def test_set_name_that_looks_like_an_option(run, fails, place):
    fails(2, "No such option", "set", place, "--tll", "5")
    fails(2, "No such option", "set", "-x", "name", "5")
    assert not Path("-x").exists()
    assert run("set", place, "--", "--tll", "5").code == 0
    assert run("get", place, "--", "--tll").out == "5\n"


@pytest.mark.parametrize("text", ["hello", "NaN", "", "[1,", "open('x')", "[" * 100_000, "1" * 100_001, "2024-01-02"])
def test_set_text_without_quotes_says_how_to_quote(run, fails, place, text):
    result = fails(2, "a string needs quotes of its own", "set", place, "it", text)
    if len(text) < 60:
        assert shlex.quote(json.dumps(text)) in result.err  # what is shown works when it is pasted
        assert run("set", place, "it", json.dumps(text)).code == 0
    assert len(result.err) < 400


def test_set_of_what_is_no_text(fails, place, tmp_path, stdin):
    (tmp_path / "latin").write_bytes(b'"\xe9"')
    fails(1, "latin is not text in UTF-8", "set", place, "it", f"@{tmp_path / 'latin'}")
    stdin(b"\xff")
    fails(1, "what stdin gave is not text", "set", place, "it", "-")
    fails(2, "not text in UTF-8", "set", place, "it", '"\udcff"')
    assert is_absent(place)


# -- rm and info


def test_rm_deletes_all_or_none(run, fails, stocked):
    fails(1, "no record 'nobody'", "rm", stocked, "user:1", "nobody", "user:2")
    assert run("rm", stocked, "user:1", "greeting", "user:1") == (0, "", "")
    assert run("rm", stocked, "limits", "--namespace", "settings").code == 0
    assert run("ls", stocked).out == "session:4f2a\nuser:2\n"


def test_info_of_a_store(run, stocked):
    facts = json.loads(run("info", stocked, "--json").out)
    assert facts["path"] == str(stocked)
    assert (facts["records"], facts["codecs"], facts["namespaces"]) == (4, {"pickle": 4}, ["", "settings"])
    lines = dict(line.split("  ", 1) for line in run("info", stocked, "--namespace", "settings").out.splitlines())
    assert lines["records"].strip() == "1"
    assert lines["namespaces"].strip() == '"", settings'
    assert lines["file size"].strip().endswith((" B", "KiB"))
    lines = dict(line.split("  ", 1) for line in run("info", stocked, "--bytes").out.splitlines())
    assert lines["file size"].strip() == str(facts["file_bytes"])


def test_info_of_a_record(run, stocked):
    lines = dict(line.split("  ", 1) for line in run("info", stocked, "user:1").out.splitlines())
    assert {field: text.strip() for field, text in lines.items()}.items() >= {
        "name": "user:1", "type": "dict", "codec": "pickle", "protocol": "5", "expires": "never",
    }.items()  # fmt: skip
    facts = json.loads(run("info", stocked, "session:4f2a", "--json").out)
    assert datetime.fromisoformat(facts["expires"]) - datetime.fromisoformat(facts["created"]) == timedelta(hours=0.5)


def test_name_that_begins_with_a_dash_goes_behind_two(run, place):
    assert run("set", "--", place, "-x", "1").code == 0
    assert run("get", "--", place, "-x") == (0, "1\n", "")
    assert run("rm", "--", place, "-x").code == 0
