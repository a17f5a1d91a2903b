"""`backup` and `restore`."""

import io
import json
import sys

import pytest
from spilling import BIG, OTHER, only_file, small_spill

from store import Store


@pytest.fixture
def large(path):
    with small_spill(path) as s:
        s.update({"a": 1, "big": BIG})
    return path


@pytest.fixture
def target(tmp_path):
    return tmp_path / "backup.db"


def test_backup_and_restore_say_what_they_did(run, large, target):
    result = run("backup", large, target, "--bytes")
    size = target.stat().st_size + only_file(target).stat().st_size
    assert result == (0, f"records 2, files 1: {size} in {target}\n", "")
    with small_spill(large) as s:
        s.update({"a": 2, "big": OTHER, "late": 1})
    result = run("restore", target, large)
    assert result.code == 0 and result.err == "" and result.out.startswith("records 2, files 1: ")
    with small_spill(large) as s:
        assert dict(s) == {"a": 1, "big": BIG}
        s.compact()


def test_backup_and_restore_json(run, large, target, tmp_path):
    made = json.loads(run("backup", large, target, "--json").out)
    assert made == {"path": str(target), "records": 2, "files": 1, "bytes": made["bytes"]}
    new = tmp_path / "new.db"
    assert json.loads(run("restore", target, new, "--json").out) == {**made, "path": str(new), "replaced": False}
    assert json.loads(run("restore", target, new, "--json").out) == {**made, "path": str(new), "replaced": True}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_bar_on_a_terminal(run, monkeypatch, large, target, command):
    if command == "restore":
        run("backup", large, target)
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    assert run(command, *((large, target) if command == "backup" else (target, large))).code == 0
    assert command in shown.getvalue() and "100%" in shown.getvalue()


def test_backup_over_another_store(fails, large, target):
    with Store(target) as s:
        s["mine"] = 1
    fails(1, "is another store, or a backup of another, and was not touched", "backup", large, target)
    fails(1, "is what is to be copied, or a file of it", "backup", large, large)
    with Store(target) as s:
        assert dict(s) == {"mine": 1}


def test_backup_of_nothing_and_to_nowhere(fails, large, target, tmp_path):
    fails(1, "there is no store at", "backup", target, tmp_path / "new.db")
    fails(1, "there is no directory", "backup", large, tmp_path / "none" / "backup.db")
    fails(2, "give the path of a file", "backup", large, ":memory:")
    fails(2, "Missing argument 'TARGET'", "backup", large)


def test_restore_of_nothing_and_over_another_store(fails, run, large, target, tmp_path):
    fails(1, f"there is no backup at {target}", "restore", target, large)
    run("backup", large, target)
    with Store(tmp_path / "other.db") as s:
        s["mine"] = 1
    fails(1, "is another store", "restore", target, tmp_path / "other.db")
    fails(2, "may not be empty", "restore", target, "")
    fails(2, "Missing argument 'PATH'", "restore", target)


@pytest.mark.damaged
def test_restore_of_a_damaged_backup(fails, run, large, target, tmp_path):
    run("backup", large, target)
    only_file(target).write_bytes(b"x")
    words = f"nothing was restored: record 'big': its file {only_file(target)} is truncated"
    fails(1, words, "restore", target, tmp_path / "new.db")
