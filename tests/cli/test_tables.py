"""Tables: the same columns in a pipe and on terminals of any width, with and without colours; no cell is obeyed."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from store import Store
from store.cli.output import tables, terminal
from store.cli.output.tables import Column, print_table, text_width

COLUMNS = (Column("size", right=True, style="green"), Column("type", cut=True), Column("name", cut=True, style="bold"))
ESCAPE = re.compile(r"\x1b\[[\d;]*m")
EVIL = "[red]x[/red] :smile: \x1b[31m\x9b\u202e [link=http://x]"


@pytest.fixture
def terminal_of(monkeypatch):
    """Makes stdout a terminal of a width, as far as the commands can tell."""

    def make(columns):
        monkeypatch.setattr(terminal, "is_terminal", lambda: True)
        monkeypatch.setenv("COLUMNS", str(columns))

    return make


def drawn(capsys, rows, **options):
    count = print_table(COLUMNS, rows, **options)
    assert count == len(rows)
    return capsys.readouterr().out


# -- plain


def test_plain_table_is_aligned(capsys):
    assert drawn(capsys, [("5", "int", "a"), ("12345", "str", "a longer name")]) == (
        " size  type  name\n    5  int   a\n12345  str   a longer name\n"
    )
    assert drawn(capsys, [("5", "int", "a")], heading=False) == "5  int  a\n"
    assert drawn(capsys, []) == ""


def test_wide_and_combining_characters_take_their_places(capsys):
    assert [text_width(text) for text in ("abc", "日本", "e\u0301", "")] == [3, 4, 1, 0]
    lines = drawn(capsys, [("1", "日本", "x"), ("1", "abcd", "x"), ("1", "e\u0301", "x")]).splitlines()
    assert len({text_width(line) for line in lines[1:]}) == 1


def test_table_of_many_pages_has_one_heading_and_widths_that_grow(capsys, monkeypatch):
    monkeypatch.setattr(tables, "PAGE", 2)
    lines = drawn(capsys, [("1", "a", str(number)) for number in range(4)] + [("1", "longer type", "4")]).splitlines()
    assert len(lines) == 6 and lines[0] == "size  type  name"
    assert lines[-1] == "   1  longer type  4"


def test_table_holds_no_more_than_a_page(capsys):
    def rows():
        for number in range(1200):
            yield ("1", "a", str(number))
            if number == 1100:
                assert " 499\n" in capsys.readouterr().out  # two pages are out before the third is read

    assert print_table(COLUMNS, rows()) == 1200


def test_long_names_are_cut_on_a_terminal_only(capsys, terminal_of):
    rows = [("1", "a.module.Type", "n" * 100), ("1", "int", "short")]
    assert "n" * 100 in drawn(capsys, rows)
    terminal_of(40)
    _, _, first, second = drawn(capsys, rows, color=False).splitlines()
    assert first == "   1  a.module.Type  " + "n" * 18 + "…"
    assert len(first) == 40 and second == "   1  int            short"
    terminal_of(10)
    assert drawn(capsys, rows, color=False).splitlines()[2] == "   1  a.module.Ty…  " + "n" * 11 + "…"  # no column below that
    terminal_of(200)
    assert "n" * 100 in drawn(capsys, rows)


def test_cut_where_stdout_is_ascii(capsys, terminal_of, monkeypatch):
    terminal_of(30)
    monkeypatch.setattr(terminal, "fits", str.isascii)
    lines = drawn(capsys, [("1", "t", "é" + "n" * 100)], color=False).splitlines()
    assert set(lines[1]) == {"-"} and lines[2].endswith("nnn...") and r"\u00e9" in lines[2]


def test_nothing_in_a_cell_is_obeyed(capsys):
    out = drawn(capsys, [("1", EVIL, EVIL)])
    assert not set(out) & {"\x1b", "\x9b", "\u202e"}
    assert r"[red]x[/red] :smile: \u001b[31m\u009b\u202e [link=http://x]" in out


# -- colours


@pytest.mark.parametrize("width", [20, 40, 80, 300])
def test_table_in_colour_has_the_columns_of_the_plain_one(capsys, terminal_of, width):
    rows = [("1", "a.module.Type", "n" * 100), ("12345", "日本", EVIL), ("7", "int", "日本語の名前" * 10)]
    terminal_of(width)
    in_colour = drawn(capsys, rows, color=True)
    assert "\x1b[" in in_colour
    plain = drawn(capsys, rows, color=False)
    assert ESCAPE.sub("", in_colour) == plain
    rule = plain.splitlines()[1]
    assert set(rule) == {"─"} and len(rule) <= max(width, 33)


def test_no_cell_is_obeyed_in_colour(capsys):
    out = drawn(capsys, [("1", EVIL, EVIL)], color=True)
    text = ESCAPE.sub("", out)
    assert text.count(r"[red]x[/red] :smile: \u001b[31m\u009b\u202e [link=http://x]") == 2
    assert "\x1b]8;" not in out and not set(text) & {"\x1b", "\x9b", "\u202e"}


def test_table_in_colour_of_many_pages_has_one_heading(capsys, monkeypatch):
    monkeypatch.setattr(tables, "PAGE", 2)
    lines = drawn(capsys, [("1", "a", str(number)) for number in range(5)], color=True).splitlines()
    assert len(lines) == 7 and sum("name" in line for line in lines) == 1


@pytest.mark.parametrize(
    ("environment", "asked", "colored"),
    [
        ({}, None, True), ({"NO_COLOR": "1"}, None, False), ({"NO_COLOR": ""}, None, True), ({"TERM": "dumb"}, None, False),
        ({}, False, False), ({"NO_COLOR": "1"}, True, True), ({"FORCE_COLOR": "1"}, False, False),
    ],
)  # fmt: skip
def test_colours_on_a_terminal(capsys, terminal_of, monkeypatch, environment, asked, colored):
    terminal_of(80)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    out = drawn(capsys, [("1", "a", "b")], color=asked)
    assert "───" in out and ("\x1b" in out) is colored


def test_colours_in_a_pipe_only_where_asked_for(capsys):
    assert "\x1b" not in drawn(capsys, [("1", "a", "b")])
    assert "\x1b" in drawn(capsys, [("1", "a", "b")], color=True)


# -- a real terminal


def on_a_terminal(*args, columns=60, **environment):
    """What a command writes to a terminal of that width, and its exit code."""
    leader, follower = pty.openpty()
    try:
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")}
        with subprocess.Popen(
            [sys.executable, "-m", "store", *map(str, args)], stdin=follower, stdout=follower, stderr=follower,
            env={**kept, "TERM": "xterm", "LC_ALL": "C.UTF-8", **environment},
        ) as process:
            os.close(follower)
            shown = b""
            while True:
                try:
                    chunk = os.read(leader, 4096)
                except OSError:  # how Linux says that the other end is closed
                    break
                if not chunk:
                    break
                shown += chunk
            return process.wait(60), shown.decode().replace("\r\n", "\n")
    finally:
        os.close(leader)


@pytest.fixture
def named(place):
    with Store(place) as s:
        s.update({"[bold]" + "n" * 100: 1, "short": b"\x1b[31m"})
    return place


def test_listing_on_a_terminal(named):
    code, out = on_a_terminal("ls", named, "--long", NO_COLOR="1")
    assert code == 0 and "\x1b" not in out
    assert max(map(text_width, map(str.rstrip, out.splitlines()))) <= 60
    assert "[bold]nnnn" in out and "…\n" in out.replace(" \n", "\n")


@pytest.mark.slow
def test_listing_on_a_terminal_in_colour(named):
    code, out = on_a_terminal("records", named)
    assert code == 0 and "\x1b[1m" in out and "───" in out
    dumb = on_a_terminal("records", named, TERM="dumb", columns=200)[1]
    assert "\x1b" not in dumb and "n" * 100 in dumb
    assert "\x1b" not in on_a_terminal("records", named, "--no-color")[1]


@pytest.mark.slow
def test_raw_value_that_a_terminal_would_obey(named):
    code, out = on_a_terminal("get", named, "short", "--raw", columns=200)
    assert code == 1 and "\x1b" not in out
    assert out.startswith("store: a terminal would obey the control characters in this: send it to a file")
    with Store(named) as s:
        s["text"] = "two\nlines é"
    assert on_a_terminal("get", named, "text", "--raw") == (0, "two\nlines é")
