"""`settings show|set|reset|export|import`: stored values, and texts of them."""

import json
import sys

import pytest
from preferences import Color, Prefs, Window

from store import Store
from store.errors import StorageError
from store.settings import Settings, as_dict, update


@pytest.fixture
def kept(place):
    return fill(place)


def fill(place):
    with Settings(Prefs, place) as prefs:
        update(prefs, theme="light", font_size=20, window=Window(5), color=Color.BLUE)
    return place


def stored(path, namespace="settings"):
    with Store(path, namespace=namespace) as s:
        return dict(s)


def test_show_has_the_stored_values(run, kept):
    assert run("settings", "show", kept).out.splitlines() == [
        "color      \"blue\"", "font_size  20", 'theme      "light"', 'window     {"width": 5, "title": null}',
    ]  # fmt: skip
    assert json.loads(run("settings", "show", kept, "--json").out) == stored(kept)
    code, out, err = run("settings", "show", kept, "--namespace", "none")
    assert (code, out) == (0, "") and "no settings in namespace 'none'" in err


def test_set_is_what_the_program_reads(run, kept):
    assert run("settings", "set", kept, "font_size", "33") == (0, "", "")
    assert run("settings", "set", kept, "scale", "-1.5") == (0, "", "")
    assert run("settings", "set", kept, "window", '{"width": 7}') == (0, "", "")
    assert run("settings", "set", kept, "x", "(1, 2)", "--namespace", "other").code == 0
    with Settings(Prefs, kept) as prefs:
        assert (prefs.font_size, prefs.scale, prefs.window) == (33, -1.5, Window(7))
    assert stored(kept, "other") == {"x": (1, 2)}


def test_set_makes_the_store(run, place):
    assert run("settings", "set", place, "theme", '"x"').code == 0
    assert stored(place) == {"theme": "x"}


def test_reset_deletes_all_that_are_named_or_none(run, fails, kept):
    fails(1, "no stored value for 'themes'; `store settings show`", "settings", "reset", kept, "font_size", "themes")
    assert len(stored(kept)) == 4
    assert run("settings", "reset", kept, "font_size", "theme") == (0, "", "")
    assert set(stored(kept)) == {"window", "color"}
    assert run("settings", "reset", kept, "--all").code == 0
    assert stored(kept) == {}


def test_export_and_import_by_suffix(run, kept, tmp_path):
    for suffix, library in (("toml", "tomli_w"), ("json", "json"), ("yaml", "yaml")):
        pytest.importorskip(library, reason=f"{library} is not installed: {suffix} is not tested")
        before = stored(kept)
        file, copy = tmp_path / f"p.{suffix}", tmp_path / f"{suffix}.db"
        assert run("settings", "export", kept, file) == (0, "", "")
        assert run("settings", "import", copy, file) == (0, "imported 4 fields\n", "")
        with Settings(Prefs, copy) as one, Settings(Prefs, kept) as two:
            assert as_dict(one) == as_dict(two)
        assert stored(kept) == before


def test_export_to_stdout_and_import_from_stdin(run, kept, stdin, tmp_path):
    text = run("settings", "export", kept).out
    assert json.loads(text) == stored(kept)
    assert run("settings", "export", kept, "-", "--format", "json").out == text
    stdin(text.encode())
    assert run("settings", "import", tmp_path / "c.db", "-", "--format", "json").out == "imported 4 fields\n"
    assert stored(tmp_path / "c.db") == stored(kept)


def test_export_reads_what_json_has_as_text(run, kept):
    with Store(kept, namespace="settings") as s:
        s["bytes"] = b"abc"
        s["tuple"] = (1, 2)
    found = json.loads(run("settings", "export", kept).out)
    assert (found["bytes"], found["tuple"]) == ("YWJj", [1, 2])


def test_import_keeps_what_the_file_does_not_name(run, kept, tmp_path):
    file = tmp_path / "p.toml"
    file.write_text('theme = "x" # why\n_none = ["proxy"]\n')
    assert run("settings", "import", kept, file).out == "imported 2 fields\n"
    assert stored(kept) == {"font_size": 20, "window": {"width": 5, "title": None}, "color": "blue", "theme": "x", "proxy": None}


LOST = "store: the comments of {} are not in the store, which keeps values alone\n"


@pytest.mark.parametrize(
    "name, text, has_comments",
    [
        ("p.toml", 'theme = "x" # why', True), ("p.toml", '# head\ntheme = "x"', True), ("p.toml", 'theme = "#fff"', False),
        ("p.toml", 'a = """\n# no \\""" # no"""\nb = \'\'\'# no\'\'\'\nc = \'# "no\'', False), ("p.toml", 'a = """b"""" # yes', True),
        ("p.toml", "a = 'b' # yes", True), ("p.json", '{"theme": "# no"}', False),
        ("p.yaml", "theme: x # why", True), ("p.yaml", "# head\ntheme: x", True), ("p.yml", "theme: x\n# tail", True),
        ("p.yaml", "theme: '# no'\na: no#comment\nb: \"# no\"\nc: |\n  # no\nd: [x#y]", False),
        ("p.yaml", "c: | # yes\n  # no", True), ("p.yaml", "c: |\n  # no\n# yes\nd: 1", True), ("p.yaml", "d: [1, # yes\n 2]", True),
    ],
)  # fmt: skip
def test_import_says_that_comments_are_lost_where_there_are_any(run, tmp_path, place, name, text, has_comments):
    if not name.endswith(("toml", "json")):
        pytest.importorskip("yaml", reason="yaml is not installed: its comments are not tested")
    file = tmp_path / name
    file.write_text(text)
    code, out, err = run("settings", "import", place, file)
    assert (code, out.startswith("imported "), err) == (0, True, LOST.format(file) if has_comments else "")


def test_import_from_stdin_says_that_comments_are_lost(run, place, stdin):
    stdin(b"a = 1 # why")
    assert run("settings", "import", place, "-", "--format", "toml") == (0, "imported 1 field\n", LOST.format("the text"))


@pytest.mark.parametrize(
    "code, words, args",
    [
        (1, "there is no store at", ("show", "none.db")),
        (1, "there is no store at", ("reset", "none.db", "x")),
        (2, "name the fields, or pass --all", ("reset", "app.db")),
        (2, "name the fields, or pass --all", ("reset", "app.db", "x", "--all")),
        (2, "neither JSON nor a Python literal", ("set", "app.db", "theme", "light")),
        (2, "_x is no name of a field", ("set", "app.db", "_x", "1")),
        (2, "two words is no name of a field", ("set", "app.db", "two words", "1")),
        (2, "No such option '--ttl'", ("set", "app.db", "--ttl", "1")),
        (2, "app.db does not end in .toml", ("export", "app.db", "app.db")),
        (1, "p.json exists already; name a new file", ("export", "app.db", "p.json")),
        (2, "stdin has no suffix: pass --format", ("import", "app.db", "-")),
        (2, "p.ini does not end in .toml, .json, .yaml, .yml: name the format", ("import", "app.db", "p.ini")),
        (1, "bad.json: the text is not JSON", ("import", "app.db", "bad.json")),
        (1, "No such file", ("import", "app.db", "none.json")),
        (2, "'xml' is not one of", ("export", "app.db", "--format", "xml")),
    ],
)
def test_wrong_use_is_one_line_and_changes_nothing(fails, path, monkeypatch, code, words, args):
    kept = fill(path)
    monkeypatch.chdir(kept.parent)
    (kept.parent / "p.json").write_text("old")
    (kept.parent / "bad.json").write_text('{"theme": "x"')
    (kept.parent / "p.ini").write_text("")
    before = stored(kept)
    fails(code, words, "settings", *args)
    assert stored(kept) == before
    assert (kept.parent / "p.json").read_text() == "old"
    assert not (kept.parent / "none.db").exists()


def test_value_that_is_no_plain_data_is_refused(fails, kept):
    with Store(kept, namespace="settings") as s:
        s["odd"] = Color
    fails(1, "odd takes plain data", "settings", "export", kept)


def test_import_that_fails_half_way_stores_nothing(fails, kept, tmp_path, monkeypatch):
    put = Store.put

    def failing(self, name, *args, **options):
        if name == "font_size":
            raise StorageError("the disk is full")
        return put(self, name, *args, **options)

    file, before = tmp_path / "p.json", stored(kept)
    file.write_text('{"theme": "x", "font_size": 1}')
    monkeypatch.setattr(Store, "put", failing)
    fails(1, "the disk is full", "settings", "import", kept, file)
    assert stored(kept) == before


def test_integers_of_more_digits_than_python_writes(run, fails, place):
    huge, digits = 10**5000 + 7, f"1{'0' * 4999}7"
    assert run("settings", "set", place, "set_here", digits) == (0, "", "")
    with Store(place, namespace="settings") as s:
        assert s["set_here"] == huge
        s.update({"one": huge, "inside": [huge], "pair": (huge, 1)})
    lines = dict(line.split("  ", 1) for line in run("settings", "show", place).out.splitlines())
    assert {name: text.strip() for name, text in lines.items()} == {
        "inside": f"[{digits}]", "one": digits, "pair": f"({digits}, 1)", "set_here": digits,
    }  # fmt: skip
    assert f'"one": {digits}' in run("settings", "show", place, "--json").out
    assert digits in run("settings", "export", place).out
    for name in ("one", "inside", "pair"):
        assert digits in run("get", place, name, "--namespace", "settings").out
    assert digits in run("get", place, "one", "--json", "--namespace", "settings").out
    assert sys.get_int_max_str_digits() == 4300, "the program's own limit stays"


def test_integers_of_more_digits_than_anybody_reads(run, fails, place):
    with Store(place, namespace="settings") as s:
        s.update({"one": 1 << 500_000, "inside": [1 << 500_000], "small": 5})
    assert run("get", place, "one", "--namespace", "settings").out == "<an integer of 500,001 bits>\n"
    lines = run("settings", "show", place).out.splitlines()
    assert [line.split()[0] for line in lines] == ["inside", "one", "small"]
    assert "no text to show" in lines[0] and "500,001 bits" in lines[1] and lines[2].endswith(" 5")
    fails(1, "JSON cannot hold the settings", "settings", "show", place, "--json")


def test_errors_offer_options_that_the_command_has(run, place, tmp_path):
    code, out, err = run("settings", "set", place, "theme", "light")
    assert (code, out) == (2, "") and "neither JSON nor a Python literal" in err and "--text" not in err
    (tmp_path / "binary").write_bytes(b"\xff")
    code, out, err = run("settings", "set", place, "theme", f"@{tmp_path / 'binary'}")
    assert (code, out) == (1, "") and "is not text in UTF-8" in err and "--bytes" not in err
    assert "--text" in run("set", place, "theme", "light").err


def test_import_and_export_take_their_arguments_in_one_order(run, fails, kept, tmp_path):
    file, copy = tmp_path / "p.json", tmp_path / "copy.db"
    assert run("settings", "export", kept, file).code == 0
    assert run("settings", "import", copy, file).code == 0
    assert stored(copy) == stored(kept)
    fails(2, f"the store comes first: store settings import {copy} {file}", "settings", "import", file, copy)
