"""The README's examples run, and it holds the two commands that .ci/run takes from it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

import store

README = Path(__file__).parents[2] / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_readme_first_example_prints_what_it_stores(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    example = blocks("python")[0]
    exec(compile(example, "README", "exec"), {})
    exec(compile(example, "README", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "{'theme': 'light', 'font_size': 14} 1 ['session:42']"
    assert lines[1] == "{'theme': 'light', 'font_size': 14} 2 ['session:42']"
    assert len(example.strip().splitlines()) <= 10


def test_readme_allow_example_makes_the_class_loadable(monkeypatch):
    from store.codecs import pickle

    module = ModuleType("readme")
    monkeypatch.setitem(sys.modules, "readme", module)
    source = blocks("python")[1]
    exec(compile(source.replace("@store.allow\n", ""), "README", "exec"), module.__dict__)
    body = pickle.dumps(module.User("alice"))
    with pytest.raises(store.Untrusted):
        pickle.loads(body)
    exec(compile(source, "README", "exec"), module.__dict__)
    assert pickle.loads(body).name == "alice"


def test_readme_versioned_example_brings_older_state_forward(monkeypatch):
    from store.codecs import pickle

    module = ModuleType("readme")
    monkeypatch.setitem(sys.modules, "readme", module)
    (source,) = (block for block in blocks("python") if "versioned" in block)
    exec("class Member:\n    def __init__(self, name): self.name = name", module.__dict__)
    body = pickle.dumps([module.Member("alice")])
    exec(compile(source, "README", "exec"), module.__dict__)
    (member,) = pickle.loads(body)
    assert (member.name, member.email) == ("alice", "")


def test_readme_messages_example_gives_what_was_sent(capsys):
    (source,) = (block for block in blocks("python") if "socketpair" in block)
    exec(compile(source, "README", "exec"), {})
    assert capsys.readouterr().out == "{'job': 7}\n"


@pytest.mark.parametrize("words, shown", [
    ("class Prefs", ""), ("import Sessions", "{'cart': ['tea']} None\n"), ("import memo", "hits=0, misses=1"),
    ("s.watch(", "set job:1\n"), ("AsyncStore", "counted 1\n"),
])  # fmt: skip
def test_readme_example_runs(tmp_path, monkeypatch, capsys, words, shown):
    monkeypatch.chdir(tmp_path)
    (source,) = (block for block in blocks("python") if words in block)
    module = ModuleType("readme")
    monkeypatch.setitem(sys.modules, "readme", module)
    exec(compile(source, "README", "exec"), module.__dict__)
    assert shown in capsys.readouterr().out
    assert len(source.strip().splitlines()) <= 10
    assert list(tmp_path.glob("*.db"))


def test_readme_has_exactly_the_two_commands():
    commands = blocks("sh")[0].strip().splitlines()
    assert len(commands) == 2
    assert commands[0].endswith("store demo")
    assert "pytest" in commands[1]


@pytest.mark.parametrize("name", re.findall(r"`(\w+\.py)`", README.read_text("utf-8")))
def test_readme_names_only_files_that_exist(name):
    root = README.parent
    assert any(path.name == name for path in root.rglob("store/**/*.py"))
