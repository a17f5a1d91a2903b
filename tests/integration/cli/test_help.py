"""The help of each command; its examples are run."""

import shlex

import pytest

from store import Store
from store.cli import cli


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_command_has_help_with_an_example(run, name):
    result = run(name, "--help")
    assert result.code == 0 and result.err == ""
    assert f"  store {name} " in result.out.partition("Examples:")[2] + " "
    command = cli.commands[name]
    assert len(command.get_short_help_str(200)) > 10
    for parameter in command.params:
        assert parameter.param_type_name == "argument" or parameter.help, parameter.name


@pytest.mark.parametrize("name", ["", *sorted(cli.commands)])
def test_help_examples_work(run, filled, monkeypatch, name):
    """As they stand, in a directory with an app.db that has the records they speak of."""
    monkeypatch.chdir(filled.parent)
    with Store(filled) as s:
        s["settings"] = {"theme": "dark"}
        with s.within("settings") as settings:
            settings["theme"] = "light"
    lines = [line.strip() for line in ((cli.commands[name] if name else cli).help or "").splitlines()]
    examples = [line for line in lines if line.startswith("store ")]
    assert examples
    for example in examples:
        with Store(filled) as s:
            s.update(dict.fromkeys(["greeting", "session:4f2a", "user:1"], 1))
        assert run(*shlex.split(example)[1:]).code == 0, example
