"""The help of each command; its examples are run."""

import shlex
from pathlib import Path

import pytest

from store import Store
from store.cli import cli
from store.sessions import Sessions
from store.trust.key import Key

OLD_KEY = "a1" * 32
COMMANDS = dict(cli.commands)  # and those of the groups: "key new"
for group in cli.commands:
    for name, command in getattr(cli.commands[group], "commands", {}).items():
        COMMANDS[f"{group} {name}"] = command


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
    if name == "import":
        run("export", "--raw", filled, "records.jsonl")
        run("export", "shelve", filled, "old_shelf")
        Path("settings.json").write_text('{"theme": "dark"}')
    lines = [line.strip() for line in ((COMMANDS[name] if name else cli).help or "").splitlines()]
    old_id = Key(bytes.fromhex(OLD_KEY)).id.hex()
    named = {"1f0c2a9be4d35578": old_id, "9f86d081884c7d65": a_hash[:16]}  # what an example says → what there is
    examples = [line for line in lines if line.startswith("store ")]
    assert examples
    for example in examples:
        with Store(filled) as s:
            s.update(dict.fromkeys(["greeting", "session:4f2a", "user:1"], 1))
        assert run(*(named.get(word, word) for word in shlex.split(example)[1:])).code == 0, example
