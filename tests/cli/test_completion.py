"""Tab completion: what is offered, what bash takes, and what it must not do."""

import os
import pty
import select
import shutil
import signal
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete

from store import Store
from store.cli import cli
from store.cli.reading.completion import LIMIT

BASH = shutil.which("bash")


@pytest.fixture
def named(place):
    with Store(place) as s:
        s.update(dict.fromkeys(["user:1", "user:2", "a name", "it's $5 [x]*", "esc\x1b", "plain"], 0))
        for namespace in ("web", "web:two", "other"):
            s.within(namespace)["inside"] = 1
    return place


def offered(*words):
    """What is offered for the last word."""
    *args, incomplete = map(str, words)
    found = ShellComplete(cli, {}, "store", "_STORE_COMPLETE").get_completions(args, incomplete)
    return [(item.type, item.value) for item in found]


def values(*words):
    found = offered(*words)
    assert all(kind == "plain" for kind, _ in found)
    return [value for _, value in found]


@pytest.mark.parametrize("command", ["get", "set", "rm", "info", "touch", "inspect", "admit"])
def test_names_by_prefix(named, command):
    assert values(command, named, "user:") == ["user:1", "user:2"]
    assert values(command, named, "") == ["a name", "it's $5 [x]*", "plain", "user:1", "user:2"]  # none that is unprintable
    assert values(command, named, "nobody") == []


def test_names_of_a_file_that_is_given_as_a_url(path):
    with Store(path) as s:
        s["user:1"] = 0
    assert values("get", f"sqlite:///{path}", "user:") == ["user:1"]


def test_names_that_the_line_has_already_are_not_offered_again(named):
    assert values("get", named, "user:1", "user:") == ["user:2"]


def test_names_of_the_namespace_that_the_line_has(named):
    assert values("get", "--namespace", "web", named, "") == ["inside"]
    assert values("get", named, "--namespace=web", "in") == ["inside"]


def test_many_names_are_limited(place):
    with Store(place) as s:
        s.update({f"n{number:04}": None for number in range(LIMIT + 50)})
    assert len(values("get", place, "n")) == LIMIT


@pytest.mark.parametrize("command", ["ls", "records", "get", "touch", "purge", "stats", "admit", "copy"])
def test_namespaces_are_offered(named, command):
    assert values(command, named, "--namespace", "") == ["other", "web", "web:two"]
    assert values(command, named, "--namespace", "we") == ["web", "web:two"]
    assert values(command, named, "--namespace=o") == ["other"]


def test_codecs_orders_commands_and_files(named):
    assert values("set", named, "x", "1", "--codec", "js") == ["json"]
    assert values("ls", named, "--sort", "m") == ["modified"]
    assert values("namesp") == ["namespaces"]
    assert offered("get", "app") == [("file", "app")]


@pytest.mark.damaged
def test_completion_is_silent_and_changes_nothing(tmp_path, own_key, capfd, recwarn):
    """Whatever stands where the store should, and with a key that is not here."""
    (tmp_path / "text").write_text("no store")
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    with Store(tmp_path / "theirs.db", key="somebody else's key") as s:
        s["name"] = 1
    sqlite = {"theirs.db-shm", "theirs.db-wal"}  # SQLite's own, which any reader may make
    before = {file.name: file.lstat().st_size for file in tmp_path.iterdir() if file.name not in sqlite}
    assert values("get", tmp_path / "theirs.db", "") == ["name"]
    for place in ("text", "empty", "pipe", "nothing", ".", "a/b", "\0", ":memory:", "nosuch://x"):
        where = place if place.startswith(("\0", ":", "nosuch")) else tmp_path / place
        assert values("get", where, "") == [] and values("get", where, "--namespace", "") == []
    assert {file.name: file.lstat().st_size for file in tmp_path.iterdir() if file.name not in sqlite} == before
    assert not own_key.exists()
    assert capfd.readouterr() == ("", "") and recwarn.list == []


def test_completion_with_a_bad_key_in_the_environment(named, monkeypatch, capfd):
    with monkeypatch.context() as patch:
        patch.setenv("STORE_KEY", "frob")
        assert values("get", named, "user:") == []
    assert capfd.readouterr() == ("", "")


# -- bash

SCRIPT = """
eval "$(_STORE_COMPLETE=bash_source store)"
COMP_LINE="$LINE" COMP_POINT=${#LINE} COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
COMP_WORDS=(store) COMP_CWORD=0
_store_completion store
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def in_bash(tmp_path):
    """What bash would put in place of the last word of a line."""
    if BASH is None:
        pytest.skip("bash is not installed: its completion is not tested here")
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "store"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m store "$@"\n')
    command.chmod(0o700)

    def in_bash(line):
        done = subprocess.run(
            [BASH, "--norc", "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True,
            env={**os.environ, "LINE": line, "PATH": f"{command.parent}:{os.environ['PATH']}"},
        )  # fmt: skip
        assert done.stderr == ""
        return done.stdout.splitlines()

    return in_bash


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("store get PATH user:", ["1", "2"]),  # bash takes the colon for the end of a word
        ("store get PATH us", ["user:1", "user:2"]),
        ("store get PATH user:1 pl", ["plain"]),
        ("store get PATH a", [r"a\ name"]),
        (r"store get PATH a\ na", [r"a\ name"]),
        ("store get PATH it", [r"it\'s\ \$5\ \[x\]\*"]),
        ("store get PATH 'a na", ["a name"]),
        ('store get PATH "a ', ["a name"]),
        ('store get PATH a" ', [" name"]),
        ('store get PATH "a na"', [r"a\ name"]),
        ("store get PATH 'it", [r"it'\''s $5 [x]*"]),
        ('store get PATH "it', [r"it's \$5 [x]*"]),
        ('store get PATH "it\'s \\$', [r"it's \$5 [x]*"]),
        ("store ls PATH --namespace=web:", ["two"]),
        ("store ls PATH --namespace ", ["other", "web", "web:two"]),
        ("store namesp", ["namespaces"]),
        ("store get nothing ", [""]),
    ],
)
@pytest.mark.slow
def test_bash_is_offered_words_that_it_can_take(in_bash, named, line, words):
    assert in_bash(line.replace("PATH", str(named))) == words


NASTY = {  # name → what is typed of it
    "$(touch ran)x": ['"$', "'$"],
    "`touch ran`": [r'"\`'],
    "it's \"here\" $HOME `x` !y \\ & z": ["it", '"it\'s ', "'it"],
    "ann@home:80": ["ann@h"],
    "-rf": ['-- "-'],
}


@pytest.mark.heavy
def test_name_is_inserted_as_it_is_and_never_run(interactive, tmp_path):
    """By an interactive bash: its own quoting decides."""
    with Store(tmp_path / "app.db") as s:
        s.update(dict.fromkeys(NASTY, 0))
    for name, beginnings in NASTY.items():
        for beginning in beginnings:
            before = "--|" if beginning.startswith("-- ") else ""
            assert interactive(f"store get app.db {beginning}") == f"get|app.db|{before}{name}|", beginning
    assert not (tmp_path / "ran").exists()


def test_name_that_would_be_an_option_is_offered_behind_two_dashes_alone(place, monkeypatch):
    with Store(place) as s:
        s.update({"--yes": 1, "yes": 2})
    assert values("rm", place, "") == ["yes"]
    monkeypatch.setenv("COMP_WORDS", f"store rm {place} -- ")
    assert values("rm", place, "--", "") == ["--yes", "yes"]


@pytest.fixture
def interactive(in_bash, tmp_path):
    """Types a line, Tab and Enter; gives the arguments that the command was called with, each with a "|" behind it."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.environ.update(PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}", TERM="dumb", PS1="", HISTFILE="")
        os.execv(BASH, [BASH, "--norc", "--noprofile", "-i"])
    os.write(terminal, INTERACTIVE)
    _until(terminal, b"READY|")

    def interactive(line):
        os.write(terminal, line.encode() + b"\t\n")
        return _until(terminal, b"|END").rpartition(b"BEGIN|")[2].removesuffix(b"END").decode()

    yield interactive
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(terminal)


# The words that are waited for must not be in what is typed, which the terminal shows as well.
INTERACTIVE = rb"""
stty columns 1000; bind 'set enable-bracketed-paste off'; bind 'set bell-style none'
eval "$(_STORE_COMPLETE=bash_source store)"; store() { printf 'BEG''IN|'; printf '%s|' "$@"; printf 'EN''D\n'; }
printf 'REA''DY|\n'
"""


def _until(terminal, mark):
    seen = b""
    while mark not in seen:
        assert select.select([terminal], [], [], 60)[0], seen
        seen += os.read(terminal, 65536)
    return seen[: seen.index(mark) + len(mark)]


def test_words_given_as_click_gives_them(named):
    """By COMP_WORDS and COMP_CWORD alone; nothing of the line."""
    done = subprocess.run(
        [sys.executable, "-m", "store"], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "_STORE_COMPLETE": "bash_complete", "COMP_WORDS": f"store get {named} us", "COMP_CWORD": "3"},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "plain,user:1\nplain,user:2\n", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_for_a_shell_ends_well(shell):
    done = subprocess.run(
        [sys.executable, "-m", "store"], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "_STORE_COMPLETE": f"{shell}_source"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "") and "_store_completion" in done.stdout
