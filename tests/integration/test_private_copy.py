"""The private copy that `mode="r"` reads where there is no WAL index and none can be made."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from store import Store
from store.engines.sqlite.opening import connection as sqlite_connection
from store.engines.sqlite.opening import private_copy
from store.errors import StorageError


@pytest.fixture
def copied(path, monkeypatch) -> Path:
    """A store that is read by a private copy: a plain open fails, as in a folder that may not be written."""
    with Store(path) as s:
        s.update({"a": 1, "b": 2})
    plain = sqlite_connection.open_and_look

    def refused(place: str, query: str) -> sqlite3.Connection:
        if query == "mode=ro" and place == str(path):
            return plain(f"{place}/none", query)
        return plain(place, query)

    monkeypatch.setattr(sqlite_connection, "open_and_look", refused)
    return path


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_child_that_exits_leaves_the_parent_its_copy(copied):
    with Store(copied, mode="r") as s:
        assert s["a"] == 1
        child = os.fork()
        if not child:
            code = 1
            try:
                assert s["b"] == 2
                s.close()
                del s
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert dict(s) == {"a": 1, "b": 2}  # opened anew after the fork, from the same copy


def test_copy_is_taken_again_when_a_writer_came_between(copied, monkeypatch):
    copy, calls = shutil.copyfile, []

    def copyfile(source: str, target: str) -> None:
        copy(source, target)
        calls.append(source)
        if len(calls) == 1:
            with closing(sqlite3.connect(copied)) as conn:
                conn.execute("UPDATE records SET name = 'renamed' WHERE name = 'a'")
                conn.commit()

    monkeypatch.setattr("store.engines.sqlite.opening.private_copy.copy_file", copyfile)
    with Store(copied, mode="r") as s:
        assert sorted(s) == ["b", "renamed"]
    assert len(calls) == 2
    with closing(sqlite3.connect(copied)) as conn:
        conn.execute("UPDATE records SET name = 'a' WHERE name = 'renamed'")
        conn.commit()


def test_database_that_is_written_all_the_time_cannot_be_copied(copied, monkeypatch):
    copy, calls = shutil.copyfile, []

    def copyfile(source: str, target: str) -> None:
        copy(source, target)
        calls.append(source)
        os.utime(copied, ns=(len(calls), len(calls)))

    monkeypatch.setattr("store.engines.sqlite.opening.private_copy.copy_file", copyfile)
    with pytest.raises(StorageError, match="written all the time"):
        Store(copied, mode="r")
    assert len(calls) == private_copy.COPY_ATTEMPTS
