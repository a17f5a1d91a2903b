"""The help of each command; its examples are run. And each command has tests."""

import ast
import re
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import pytest
from sources import make
from sources_by_hand import SECRET_KEY, SESSIONS, database

import store.cli
from store import Store
from store.cli import cli
from store.sessions import Sessions
from store.trust.keys.key import Key

OLD_KEY = "a1" * 32
CONTEXT = click.Context(cli)
TOP = {name: cli.get_command(CONTEXT, name) for name in cli.list_commands(CONTEXT)}
GROUPS = {name: command for name, command in TOP.items() if isinstance(command, click.Group)}
COMMANDS = TOP | {f"{group} {name}": command for group in GROUPS for name, command in GROUPS[group].commands.items()}
README = Path(store.cli.__file__).with_name("README.md")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_command_has_help_with_an_example(run, name):
    result = run(*name.split(), "--help")
    assert result.code == 0 and result.err == ""
    assert f"  store {name} " in result.out.partition("Examples:")[2].replace("\n", " ")
    command = COMMANDS[name]
    assert len(command.get_short_help_str(200)) > 10
    for parameter in command.params:
        assert parameter.param_type_name == "argument" or parameter.help, parameter.name


@pytest.mark.parametrize("name", ["", *sorted(COMMANDS)])
@pytest.mark.slow
def test_help_examples_work(run, filled, monkeypatch, own_key, name):
    """As they stand, in a directory with an app.db that has the records they speak of."""
    monkeypatch.chdir(filled.parent)
    with Store(filled) as s:
        s["settings"] = {"theme": "dark"}
        with s.within("settings") as settings:
            settings["theme"] = "light"
    if name.startswith("key"):  # a file of two keys, for one of which the examples have a name of their own
        own_key.write_text(f"{own_key.read_text()}{OLD_KEY}\n")
    if name.startswith("sessions"):
        with Sessions(filled) as sessions:
            sessions.create({"user": 1})
            (a_hash,) = (record.name for record in sessions.records())
    else:
        a_hash = ""
    if name == "settings import":
        Path("prefs.toml").write_text('theme = "dark"\n')
    if name in ("settings", "settings export"):
        for library in ("tomli_w", "yaml"):
            pytest.importorskip(library, reason=f"{library} is not installed: the examples of {name!r} are not run")
    if name == "top":
        pytest.importorskip("rich", reason="rich is not installed: the examples of 'top' are not run")
    if name == "web":
        pytest.importorskip("starlette", reason="Starlette is not installed: the examples of 'web' are not run")
    if name == "import":
        run("export", "--raw", filled, "records.jsonl")
        run("export", "shelve", filled, "old_shelf")
        make("diskcache", Path("made"), {"a": 1}).rename("old_cache")
        make("diskcache", Path("made_too"), {"a": 1}).rename("pages")
        database(Path("db.sqlite3"), [("django_session", SESSIONS, [])])
        Path("key.txt").write_bytes(SECRET_KEY)
        Path("settings.json").write_text('{"theme": "dark"}')
        with closing(sqlite3.connect("old.sqlite")) as db:  # as the library sqlitedict makes it
            db.execute("CREATE TABLE IF NOT EXISTS unnamed (key TEXT PRIMARY KEY, value BLOB)")
    lines = [line.strip() for line in ((COMMANDS[name] if name else cli).help or "").splitlines()]
    old_id = Key(bytes.fromhex(OLD_KEY)).id.hex()
    named = {"1f0c2a9be4d35578": old_id, "9f86d081884c7d65": a_hash[:16]}  # what an example says → what there is
    examples = [line for line in lines if line.startswith("store ")]
    assert examples
    for example in examples:
        with Store(filled) as s:
            s.update({"greeting": "hello", "session:4f2a": 1, "user:1": 1})
        assert run(*(named.get(word, word) for word in shlex.split(example)[1:])).code == 0, example


def test_help_lists_every_command_under_a_heading(run):
    lines = run("--help").out.splitlines()
    assert all(f"{heading}:" in lines for heading in store.cli.SECTIONS)
    listed = [line.split()[0] for line in lines if line.startswith("  ") and line[2:3].islower() and "  " in line[2:].strip()]
    assert sorted(listed) == sorted(TOP)
    assert max(map(len, lines)) <= 100
    assert 'eval "$(_STORE_COMPLETE=bash_source store)"' in lines[-1]


@pytest.mark.parametrize("name", ["", *sorted(GROUPS)])
def test_group_without_a_command_shows_its_help_and_is_a_wrong_call(run, name):
    asked = run(*name.split(), "--help")
    code, out, err = run(*name.split())
    assert (code, out, err) == (2, "", asked.out)
    assert err.count("\n") > 10


def test_mistyped_command_is_told_what_it_may_be(run):
    assert "Did you mean" not in run("frobnicate").err
    assert run("verfy").err.startswith("store: No such command 'verfy'")


def test_command_is_in_the_file_that_the_readme_names():
    """Where is the command X: in the file of the table's row, which holds all the commands that the row lists."""
    rows = re.findall(r"^\| `(\w+)(?:\.py|/)` \| (.+?) \|", README.read_text(), re.MULTILINE)
    told = {name: file for file, names in rows for name in re.findall(r"`(\w+)`", names)}
    assert all(command.name == name for name, command in TOP.items())
    assert told == {name: command.callback.__module__.rpartition(".")[2] for name, command in TOP.items()}


# -- each command has a test of its use, and one of its wrong use


def invocations(source: str) -> Iterator[tuple[str, list[str]]]:
    """How the tests of a file call commands: ("right" or "wrong", the words that are known)."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "fails":
                yield "wrong", words(node.args[2:])
            elif node.func.id.startswith("run"):
                yield "right", words(node.args)
        elif isinstance(node, ast.List) and node.elts and isinstance(node.elts[0], ast.Starred):
            yield "right", words(node.elts[1:])  # [*STORE, "ls", …], for a process
        elif isinstance(node, ast.Tuple) and len(node.elts) == 3 and isinstance(node.elts[0], ast.Constant):
            line, code, _ = node.elts
            if isinstance(line.value, str) and isinstance(code, ast.Constant) and code.value in (1, 2):
                yield "wrong", line.value.split()  # a table of ("ls NOTHING", 1, "there is no store")


def words(nodes: list[ast.expr]) -> list[str]:
    return [part.value for part in nodes if isinstance(part, ast.Constant) and isinstance(part.value, str)]


def untested(names: Iterator[str], sources: list[str]) -> list[str]:
    """The commands that no test uses, or none uses wrongly."""
    found = {(kind, tuple(said[:2])) for source in sources for kind, said in invocations(source)}
    found |= {(kind, said[:1]) for kind, said in found}
    return [
        f"{name}: no test of its {kind} use"
        for name in names
        for kind in ("right", "wrong")
        if (kind, tuple(name.split())) not in found
    ]


def test_every_command_has_tests():
    """Those that call `run("NAME", …)` and `fails(code, words, "NAME", …)`; this file does not count."""
    files = [file for file in Path(__file__).parent.glob("test_*.py") if file != Path(__file__)]
    sources = [file.read_text(encoding="utf-8") for file in files]
    commands = [name for name in sorted(COMMANDS) if name not in GROUPS]
    assert untested(commands, sources) == []


def test_command_without_a_test_is_found():
    tested = 'def test_a(run, fails):\n    run("ls", path)\n    fails(1, "ls", "get", path)\n'
    assert untested(["ls"], [tested]) == ["ls: no test of its wrong use"]
    assert untested(["get"], [tested]) == ["get: no test of its right use"]
    assert untested(["ls", "key new"], [tested + 'WRONG = [("ls x", 2, "y"), ("key new x", 2, "z")]']) == [
        "key new: no test of its right use"
    ]
    assert untested(["ls"], ['Popen([*STORE, "ls"])', 'WRONG = [("ls x", 2, "y")]']) == []
    assert len(untested(["ls"], ['print("ls")'])) == 2


def test_help_says_what_path_is(run):
    out = run("--help").out
    assert "PATH" in out and "postgresql://" in out and "redis://" in out
