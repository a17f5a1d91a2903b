"""A look at a record: who sealed it, its value or why there is none, and how much it may cost."""

from __future__ import annotations

import importlib
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.opened.sentinels import MISSING
from store.web.look import ATTEMPTS, CELL_BYTES, PAGE_BYTES, Budget, Look, look

OURS, THEIRS = b"the key of these tests, long enough", b"the key of somebody else, long enough"
RAN: list[str] = []


class Mine:
    """A class of the program, which foreign records may not use."""

    def __init__(self) -> None:
        self.a = 1

    def __setstate__(self, state: Any) -> None:
        RAN.append("state")
        self.__dict__.update(state)


class Ending:
    def __setstate__(self, state: Any) -> None:
        raise {"exit": SystemExit, "memory": MemoryError, "any": ValueError}[state](state)

    def __getstate__(self) -> str:
        return self.how

    def __init__(self, how: str) -> None:
        self.how = how


def seen(s: Store[Any], name: str, budget: Budget | None = None) -> Look:
    return look(s, s.record(name), budget or Budget())


def change(path: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(path)) as conn:
        conn.execute(statement, values)
        conn.commit()


@pytest.fixture
def both(path: Path) -> Path:
    """A store of records that we sealed, and that somebody else did."""
    with Store(path, key=OURS) as s:
        s.update({"own": [1], "mine": Mine()})
    with Store(path, key=THEIRS) as s:
        s.update({"foreign": [2], "their class": Mine()})
    return path


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*sealed with a key")
@pytest.mark.parametrize("trust", ["data", "all", "own"])
def test_owner_decides_how_a_record_is_decoded(both: Path, trust: Any) -> None:
    with Store(both, key=OURS, trust=trust) as s:
        own = seen(s, "own")
        assert (own.badge, own.value, own.problem, own.record) == ("own", [1], None, s.record("own"))
        assert type(seen(s, "mine").value) is Mine
        RAN.clear()
        foreign, theirs = seen(s, "foreign"), seen(s, "their class")
    assert RAN == []
    assert (theirs.badge, theirs.value) == ("refused", MISSING) and str(theirs.problem).startswith("record 'their class': ")
    assert (foreign.badge, foreign.value) == (("refused", MISSING) if trust == "own" else ("foreign", [2]))


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*sealed with a key")
@pytest.mark.parametrize(
    ("column", "planted", "badge"),
    [
        ("body", b"x", "tampered"), ("expires", 5.0, "tampered"), ("seal", b"", "corrupt"), ("codec", "none", "tampered"), ("spill", "[]", "tampered"),
    ],
)  # fmt: skip
def test_damage_is_named_and_other_records_are_shown(both: Path, column: str, planted: Any, badge: str) -> None:
    with Store(both, key=OURS) as s:
        record = s.record("own")
        change(both, f"UPDATE records SET {column} = ? WHERE name = 'own'", planted)
        found = look(s, record, Budget())
        assert (found.badge, found.value, found.name) == (badge, MISSING, "own")
        assert "record 'own'" in str(found.problem) or "restore" in str(found.problem) or badge == "tampered"
        assert seen(s, "mine").badge == "own"


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*sealed with a key")
@pytest.mark.parametrize("column", ["type", "codec", "python", "spill", "seal"])
def test_column_that_is_no_text_is_damage(both: Path, column: str) -> None:
    with Store(both, key=OURS) as s:
        record = s.record("own")
        change(both, f"UPDATE records SET {column} = CAST(x'4dff4d' AS TEXT) WHERE name = 'own'" if column != "seal" else "UPDATE records SET seal = x''")
        found = look(s, record, Budget())
    assert found.badge in ("corrupt", "tampered") and found.value is MISSING and found.problem


def test_class_that_is_not_here_is_no_damage(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "gone_too.py"
    module.write_text("class Gone: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import gone_too  # type: ignore[import-not-found]

    with Store(path) as s:
        s["x"] = gone_too.Gone()
        module.unlink()
        del sys.modules["gone_too"]
        found = seen(s, "x")
    assert found.badge == "refused" and "gone_too" in str(found.problem)


@pytest.mark.parametrize("how", ["exit", "memory", "any"])
def test_own_class_that_fails_is_reported(path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ending, "__setstate__", lambda self, state: self.__dict__.update(how=state))
    with Store(path) as s:
        s["x"] = Ending(how)
    monkeypatch.undo()
    with Store(path) as s:
        found = seen(s, "x")
    assert found.badge in ("refused", "corrupt") and found.value is MISSING and found.problem


def test_large_record_is_left_out(s: Store[Any]) -> None:
    s["large"], s["small"] = b"x" * (CELL_BYTES + 1), b"x"
    found = seen(s, "large")
    assert found.badge == "skipped" and str(found.problem).startswith("too large to show here: 64 KiB")
    assert seen(s, "small").badge == "own"
    assert seen(s, "large", Budget(PAGE_BYTES)).value == b"x" * (CELL_BYTES + 1)


def test_record_that_grew_meanwhile_is_left_out(s: Store[Any]) -> None:
    s["x"] = 1
    record = s.record("x")
    s["x"] = b"x" * (CELL_BYTES + 1)
    assert look(s, record, Budget()).badge == "skipped"


def test_time_that_is_used_up_leaves_records_out(s: Store[Any]) -> None:
    s["x"] = 1
    now = 0.0
    budget = Budget(seconds=5, clock=lambda: now)
    assert seen(s, "x", budget).badge == "own"
    now = 5.1
    found = seen(s, "x", budget)
    assert found.badge == "skipped"
    assert found.problem == "not decoded: this page has used up its time; the page of the record shows it"


def test_time_of_an_import_is_not_counted(s: Store[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_to_import.py").write_text("class Thing:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    s["x"] = importlib.import_module("slow_to_import").Thing()
    monkeypatch.delitem(sys.modules, "slow_to_import")
    budget = Budget(seconds=5, clock=lambda: 60.0 * ("slow_to_import" in sys.modules))
    assert seen(s, "x", budget).badge == "own"
    assert seen(s, "x", budget).badge == "own"


def test_time_of_decoding_without_imports_is_counted() -> None:
    now = 0.0
    budget = Budget(seconds=5, clock=lambda: now)
    with budget.decoding():
        now = 6.0
    assert "used up its time" in str(budget.refusal(0))


def test_record_that_is_gone(s: Store[Any], clock: Any) -> None:
    s.put("x", 1, ttl=10)
    s["y"] = 1
    expired, deleted = s.record("x"), s.record("y")
    clock.now += 11
    del s["y"]
    for record in (expired, deleted):
        found = look(s, record, Budget())
        assert (found.badge, found.record) == ("skipped", None) and "gone" in str(found.problem)


def test_metadata_are_those_of_the_value(s: Store[Any]) -> None:
    s["x"] = 1
    record = s.record("x")
    s["x"] = 2
    found = look(s, record, Budget())
    assert found.value == 2 and found.record == s.record("x") != record


def test_files_that_a_new_value_replaced_are_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(path, spill_bytes=100) as s:
        s["x"] = b"1" * 1_000
        record, find = s.record("x"), s.opened.find
        finds: list[str] = []

        def find_old(name: str) -> Any:
            row = find(name)
            finds.append(name)
            if len(finds) <= replaced:
                old = [one for one in Path(f"{path}-spill").rglob("*") if one.stat().st_size >= 1_000]
                s["x"] = b"%d" % len(finds) * 1_000
                for file in old:  # they may be kept a little longer
                    file.unlink(missing_ok=True)
            return row

        monkeypatch.setattr(s.opened, "find", find_old)
        replaced = 2
        assert look(s, record, Budget()).value == b"2" * 1_000
        finds.clear()
        replaced = 100
        found = look(s, record, Budget())
        assert found.badge == "skipped" and "load the page again" in str(found.problem)
        assert len(finds) == ATTEMPTS + 1


@pytest.mark.damaged
def test_file_that_is_missing_is_damage(path: Path) -> None:
    with Store(path, spill_bytes=100) as s:
        s["x"] = b"1" * 1_000
        (file,) = [one for one in Path(f"{path}-spill").rglob("*") if one.stat().st_size >= 1_000]
        file.unlink()
        found = seen(s, "x")
    assert found.badge == "corrupt" and "record 'x'" in str(found.problem)


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*sealed with a key")
def test_files_of_others_are_not_mapped(path: Path) -> None:
    with Store(path, key=OURS):
        pass
    with Store(path, key=THEIRS, spill_bytes=100) as s:
        s["x"] = b"1" * (CELL_BYTES + 1)
    with Store(path, key=OURS) as s:
        assert seen(s, "x").badge == "skipped"
        assert seen(s, "x", Budget(PAGE_BYTES)).badge == "foreign"
