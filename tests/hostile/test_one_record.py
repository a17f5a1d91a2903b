"""One record never stands in the way of the others: codecs that fail, text that is none, lists of a million keys."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from store import Store, codecs
from store.cli import main
from store.codecs import codecs as known

pytestmark = [pytest.mark.damaged, pytest.mark.filterwarnings("ignore:.*sealed with a key")]

THEIRS = b"the key of somebody else, long enough"
BAD = "M bad"


class Failing:
    """A codec of the program's own, whose every method raises what it is told to."""

    name = "failing"
    protocols = range(1, 2)
    default_protocol = 1
    error: BaseException | None = None
    description: Any = None

    def encode(self, value: Any, protocol: int, buffer_callback: Any = None) -> bytes:
        return b"anything"

    def decode(self, body: Any, buffers: Any = (), *, lookup: Any = None) -> Any:
        return self._fail()

    def decode_restricted(self, body: Any, buffers: Any = (), *, allow: Any, lookup: Any = None) -> Any:
        return self._fail()

    def describe(self, body: Any) -> Any:
        return self.description or self._fail()

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


@pytest.fixture
def failing() -> Iterator[Failing]:
    codec = Failing()
    codecs.register(codec)
    yield codec
    del known._entries["failing"], known._loaded["failing"]


def run(capsys: Any, *arguments: object) -> tuple[int, str, str]:
    code = main([str(one) for one in arguments])
    return (code, *capsys.readouterr())


ERRORS = [
    RecursionError("deep"), MemoryError(), KeyError("k"), OSError(5, "no disk"), UnicodeDecodeError("utf-8", b"", 0, 1, "x"),
    Exception("\x1b[2J"), ZeroDivisionError(),
]  # fmt: skip


@pytest.mark.parametrize("error", [*ERRORS, SystemExit(0), GeneratorExit()], ids=lambda error: type(error).__name__)
def test_description_that_fails(path: Path, failing: Failing, capsys: Any, error: BaseException) -> None:
    failing.error = error
    with Store(path, key=THEIRS) as s:
        s["a good"] = 1
        s.put(BAD, 2, codec="failing")
        s["z good"] = 3
    code, out, _ = run(capsys, "inspect", path, BAD)
    assert code == 0 and f"the codec 'failing' failed to describe it ({type(error).__name__}" in out
    assert "\x1b" not in out
    code, out, err = run(capsys, "admit", path, "--all", "--yes")
    assert code == 1 and out.count("admitted") == 2
    assert f"record '{BAD}' is left out" in err
    with Store(path) as s:
        assert s.record("z good").sealed_by != s.record(BAD).sealed_by


@pytest.mark.parametrize("description", [5, (1, 2), ("abc", None, 7), ([b"x"], b"y", b"z"), iter(())])
def test_description_that_is_none(path: Path, failing: Failing, capsys: Any, description: Any) -> None:
    failing.description = description
    with Store(path, key=THEIRS) as s:
        s.put(BAD, 2, codec="failing")
    assert run(capsys, "inspect", path, BAD)[0] == 0


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_value_that_cannot_be_decoded(path: Path, failing: Failing, capsys: Any, error: BaseException) -> None:
    """A KeyError would pass for a record that was deleted, and be left out without a word."""
    with Store(path) as s:
        s["a good"] = 1
        s.put(BAD, 2, codec="failing")
        s["z good"] = 3
    failing.error = error
    for command in (["export", "jsonl", path], ["settings", "show", path, "--namespace", ""]):
        code, out, err = run(capsys, *command)
        assert code == 1 and out.count("good") == 2 and BAD in err, command
    code, out, err = run(capsys, "upgrade", path, "--codec", "json")
    assert (code, out) == (1, "upgraded 2, current 0, left 0, failed 1\n") and BAD in err
    code, out, err = run(capsys, "upgrade", path, "--rename", "a.b=c.d")
    assert code == 1 and "failed 1" in out


NO_TEXT = "CAST(x'4dff4d' AS TEXT)"  # 0xff is in no UTF-8
WALKS = [
    ["ls"], ["ls", "--long"], ["ls", "--json"], ["records"], ["records", "--json"], ["namespaces"],
    ["stats"], ["info"], ["export", "jsonl"], ["export", "--raw"], ["upgrade"], ["purge"], ["admit", "--all", "--yes"], ["rekey"],
    ["settings", "show", "--namespace", ""], ["settings", "export", "--namespace", ""], ["verify"], ["watch", "--timeout", "0"],
    ["sessions", "ls", "--namespace", ""], ["rm", "--prefix", "", "--yes"],
]  # fmt: skip
TWO = {"ls", "records", "export jsonl", "settings show", "settings export"}  # which show both of the good ones


@pytest.mark.parametrize("planted", ["name", "namespace", "type", "codec", "python", "spill", "seal"])
@pytest.mark.slow
def test_column_that_is_no_text(path: Path, capsys: Any, planted: str) -> None:
    for command in WALKS:
        _plant(path, planted)
        words = command[:2] if command[0] in ("export", "settings", "sessions") else command[:1]
        code, out, err = run(capsys, *words, path, *command[len(words) :])
        assert f"{path} is damaged" not in err and "Traceback" not in err, (command, err)
        if {" ".join(words), words[0]} & TWO:
            assert out.count("good") == 2, (command, out, err)
        if command[0] == "admit":
            assert "admitted  foreign" in out
        if command[0] == "verify":
            assert code == 1
        path.unlink()
        for beside in path.parent.glob(f"{path.name}-*"):
            beside.unlink()


def _plant(path: Path, column: str) -> None:
    with Store(path) as s:
        s.update({"a good": 1, BAD: 2, "z good": 3})
    with Store(path, key=THEIRS) as s:
        s["foreign"] = 1
    with closing(sqlite3.connect(path)) as conn:
        planted = "x''" if column == "seal" else NO_TEXT
        conn.execute(f"UPDATE records SET {column} = {planted} WHERE name = ?", (BAD,))
        conn.commit()
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def test_pages_of_names_that_are_no_text_are_passed(path: Path) -> None:
    """However many there are, in each order, and between texts that come behind them for SQLite alone."""
    names = ["a", "\U0001f600", "é", "z"]
    with Store(path) as s:
        s.update(dict.fromkeys(names, 1))
    with closing(sqlite3.connect(path)) as conn:
        for number in range(50):
            copy = "namespace, {}, codec, protocol, type, python, body, spill, seal, crc, revision, created, modified, expires"
            here = copy.replace(", {},", ", name,")
            name = f"CAST(x'61ff{number:02x}' AS TEXT)"
            conn.execute(f"INSERT INTO records ({here}) SELECT {copy.format(name)} FROM records WHERE name = 'a'")
        conn.commit()
    with Store(path) as s:
        for limit in (1, 2, 3, None):
            for reverse in (False, True):
                found: list[str] = []
                while page := s.names(after=found[-1] if found else None, limit=limit, reverse=reverse):
                    found += page
                    if limit is None:
                        break
                assert found == sorted(names, reverse=reverse), (limit, reverse)
        assert list(s) == names and [record.name for record in s.records()] == sorted(names)


@pytest.mark.parametrize("planted", ["CAST(printf('%08d', n) AS BLOB)", "CAST(printf('%09d', n) AS BLOB)"])
@pytest.mark.slow
def test_planted_sealers_cost_nothing(path: Path, capsys: Any, planted: str) -> None:
    """By what is asked of SQLite, and not by how long it takes."""
    with Store(path) as s:
        s.update(a=1)
    with closing(sqlite3.connect(path)) as conn:
        conn.execute(
            "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 100000) "
            f"INSERT INTO sealers SELECT {planted} FROM c"
        )
        conn.commit()
    with Store(path) as s:
        assert len(s.opened.engine.sealers()) <= 1000
        s["b"] = 2
    code, out, _ = run(capsys, "rekey", path, "--json")
    assert code == 0 and len(json.loads(out)["keys"]) == 1
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("SELECT count(*) FROM sealers").fetchone() == (1,)
