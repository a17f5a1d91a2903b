"""Large values and everything else that handles records: raw export, upgrade, importers, asyncio, private copies."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from buffered import Buffered
from spilling import BIG, OTHER, files, folder_of, only_file, small_spill

from store.aio import AsyncStore
from store.care.foreign import check_storable, holds_same
from store.care.raw import export_raw, import_raw
from store.care.upgrade import upgrade
from store.engines.sqlite.opening import connection as sqlite_connection
from store.errors import Corrupt, Tampered
from store.export import export_to

THEIRS = b"the key of somebody else"
VALUE = [Buffered(BIG), OTHER, {"small": 1}]

pytestmark = pytest.mark.filterwarnings("ignore:.*sealed with a key")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target.db"


def lines_of(path: Path) -> list[str]:
    with small_spill(path, mode="r") as s:
        return list(export_raw(s.opened))


def taken_in(target: Path, lines: list[str], **options: Any) -> list[str]:
    with small_spill(target, **options) as s:
        return [verdict for _, _, verdict in import_raw(s.opened, lines)]


# -- raw


def test_raw_export_has_the_files_and_import_makes_new_ones(path: Path, target: Path) -> None:
    with small_spill(path) as s:
        s["it"] = VALUE
        s["small"] = 1
    assert taken_in(target, lines_of(path)) == ["own", "own"]
    with small_spill(target) as s:
        assert dict(s) == {"it": VALUE, "small": 1}
        assert s.verify().ok and s.verify().sealed == 2
    assert len(files(target)) == 2 and not set(files(target)) & set(files(path))


def test_raw_import_again_replaces(path: Path, target: Path) -> None:
    with small_spill(path) as s:
        s["it"] = VALUE
    for _ in range(2):
        assert taken_in(target, lines_of(path)) == ["own"]
    with small_spill(target) as s:
        s.compact()
        assert s["it"] == VALUE and len(files(target)) == 2


def test_raw_import_into_the_store_it_came_from(path: Path) -> None:
    """Beside the record itself, and after it was deleted, its files gone or not yet."""
    with small_spill(path) as s:
        s["it"] = VALUE
        lines = lines_of(path)
        assert [verdict for *_, verdict in import_raw(s.opened, lines)] == ["own"]
        assert s["it"] == VALUE
        del s["it"]
        assert [verdict for *_, verdict in import_raw(s.opened, lines)] == ["own"]
        s.compact()
        assert s["it"] == VALUE
        del s["it"]
        s.compact()
        assert [verdict for *_, verdict in import_raw(s.opened, lines)] == ["own"]
        assert s["it"] == VALUE


@pytest.mark.damaged
def test_raw_import_of_foreign_records_keeps_them_foreign(path: Path, target: Path) -> None:
    value = [OTHER, {"x": [1]}]
    with small_spill(path, key=THEIRS) as s:
        s["it"] = value
    assert taken_in(target, lines_of(path)) == ["foreign"]
    with small_spill(target) as s:
        assert s["it"] == value
        assert s.verify().foreign == [("", "it")] and s.verify().files == []


@pytest.mark.damaged
@pytest.mark.parametrize("gone", [False, True], ids=["garbage still", "gone"])
def test_raw_import_of_a_foreign_record_where_it_was_keeps_its_seal(path: Path, gone: bool) -> None:
    with small_spill(path, key=THEIRS) as s:
        s["it"] = VALUE
    with small_spill(path) as s:
        lines = lines_of(path)
        del s["it"]
        if gone:
            s.compact()
        assert [verdict for *_, verdict in import_raw(s.opened, lines)] == ["foreign"]
        s.compact()
    with small_spill(path, key=THEIRS) as s:
        assert s["it"] == VALUE
        assert s.verify().ok


@pytest.mark.damaged
def test_raw_import_of_other_content_under_the_old_names(path: Path) -> None:
    """What is there stays; the record gets files of its own, and is nobody's."""
    with small_spill(path, key=THEIRS) as s:
        s["it"] = BIG
    with small_spill(path) as s:
        lines = lines_of(path)
        only_file(path).write_bytes(bytes(only_file(path).stat().st_size))
        assert [verdict for *_, verdict in import_raw(s.opened, lines)] == ["foreign"]
        assert s["it"] == BIG


@pytest.mark.damaged
def test_raw_export_of_a_missing_file_is_complete_but_for_that(path: Path, target: Path) -> None:
    with small_spill(path) as s:
        s["it"] = BIG
        only_file(path).unlink()
        s["other"] = OTHER
    lines = lines_of(path)
    assert [json.loads(line)["files"][0] is None for line in lines] == [True, False]
    assert taken_in(target, lines) == ["corrupt", "own"]
    with small_spill(target) as s:
        assert s["other"] == OTHER
        with pytest.raises(Corrupt, match="is missing"):
            s["it"]


@pytest.mark.damaged
def test_raw_import_of_altered_files_never_makes_them_ours(path: Path, target: Path) -> None:
    with small_spill(path) as s:
        s["it"] = BIG
    fields = json.loads(lines_of(path)[0])
    fields["files"] = ["AAAA" + fields["files"][0][4:]]
    assert taken_in(target, [json.dumps(fields)]) == ["corrupt"]
    with small_spill(target) as s, pytest.raises(Corrupt, match="is altered"):
        s["it"]


@pytest.mark.damaged
def test_raw_import_of_an_altered_list_is_tampered(path: Path, target: Path) -> None:
    with small_spill(path) as s:
        s["it"] = BIG
    fields = json.loads(lines_of(path)[0])
    for altered in (fields["spill"].replace("]]", "],[]]"), "x", fields["spill"][:-3] + '0"]]'):
        assert taken_in(target, [json.dumps({**fields, "spill": altered})]) == ["tampered"]
        with small_spill(target) as s, pytest.raises(Tampered):
            s["it"]


@pytest.mark.parametrize("wrong", [["?"], 17, [5], "text", {"a": 1}])
def test_raw_line_whose_files_are_none(path: Path, target: Path, wrong: Any) -> None:
    with small_spill(path) as s:
        s["it"] = BIG
    line = json.dumps({**json.loads(lines_of(path)[0]), "files": wrong})
    with pytest.raises(Corrupt, match="line 1 is not a raw record"):
        taken_in(target, [line])
    assert files(target) == []


def test_raw_export_of_a_record_that_is_replaced_meanwhile(path: Path) -> None:
    with small_spill(path) as s:
        s["it"] = BIG
        large = s.opened.values.large
        assert large is not None
        contents = large.contents

        def late(row: Any, *, foreign: bool) -> Any:
            large.contents = contents  # type: ignore[method-assign]
            s["it"] = OTHER
            s.compact()
            return contents(row, foreign=foreign)

        large.contents = late  # type: ignore[method-assign]
        (line,) = export_raw(s.opened)
        assert None not in json.loads(line)["files"]


def test_raw_batches_end_by_size(path: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_spill(path) as s:
        s.update({f"n{number}": BIG for number in range(5)})
    monkeypatch.setattr("store.care.raw.BATCH_CHARS", 10)
    lines = lines_of(path)
    with small_spill(target) as s:
        commits = []
        transaction = s.opened.engine.transactions.begin
        monkeypatch.setattr(
            s.opened.engine.transactions, "begin", lambda **how: (commits.append(1), transaction(**how))[1]
        )
        assert len(list(import_raw(s.opened, lines))) == 5
        assert len(commits) >= 5


# -- upgrade


def test_upgrade_rewrites_files(path: Path) -> None:
    with small_spill(path, protocol=4) as s:
        s["it"] = VALUE
    with small_spill(path) as s:
        before = files(path)
        assert [each.outcome for each in upgrade(s.opened, dry_run=True)] == ["upgraded"]
        assert files(path) == before
        assert [each.outcome for each in upgrade(s.opened)] == ["upgraded"]
        s.compact()
        assert s["it"] == VALUE and s.record("it").protocol == 5
        assert not set(files(path)) & set(before)
        assert [each.outcome for each in upgrade(s.opened)] == ["current"]


def test_upgrade_that_fails_leaves_no_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_spill(path, protocol=4) as s:
        s["it"] = BIG
    with small_spill(path) as s:
        unpack, calls = s.opened.values.unpack, []

        def second_fails(row: Any, **options: Any) -> Any:
            calls.append(row)
            if len(calls) == 2:
                raise Corrupt("it could not be read back")
            return unpack(row, **options)

        monkeypatch.setattr(s.opened.values, "unpack", second_fails)
        assert [each.outcome for each in upgrade(s.opened)] == ["failed"]
        assert len(files(path)) == 1 and s["it"] == BIG


# -- the rest


def test_importers_compare_and_try_without_leaving_files(path: Path) -> None:
    with small_spill(path) as s:
        s["it"] = VALUE
        before = files(path)
        assert holds_same(s.opened, "it", VALUE) is True
        assert holds_same(s.opened, "it", [Buffered(OTHER)]) is False
        check_storable(s.opened, "new", VALUE)
        assert files(path) == before and s.opened.engine.blobs._pending == {}  # type: ignore[union-attr]


def test_export_for_other_programs(path: Path, tmp_path: Path) -> None:
    with small_spill(path) as s:
        s["it"] = "x" * 5000
        assert [each.outcome for each in export_to(s, "jsonl", str(tmp_path / "out.jsonl"))] == ["exported"]
    assert "x" * 5000 in (tmp_path / "out.jsonl").read_text()


def test_asyncio(path: Path) -> None:
    async def main() -> None:
        async with AsyncStore[Any](path, spill_bytes=1000) as s:
            await s.set("it", VALUE)
            assert await s.getitem("it") == VALUE
            await s.set("it", BIG)
            assert (await s.compact()).files == 2
            async with s.edit("list", []) as values:
                values.append(OTHER)
            assert await s.getitem("list") == [OTHER]

    asyncio.run(main())
    assert len(files(path)) == 2


def test_private_copy_finds_the_files_beside_the_original(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_spill(path) as s:
        s["it"] = VALUE
    plain = sqlite_connection.open_and_look

    def refused(place: str, query: str) -> sqlite3.Connection:
        return plain(f"{place}/none" if query == "mode=ro" and place == str(path) else place, query)

    monkeypatch.setattr(sqlite_connection, "open_and_look", refused)
    before = sorted(os.listdir(path.parent))
    with small_spill(path, mode="r") as s:
        assert s["it"] == VALUE
        assert s.verify().ok
        assert sorted(os.listdir(path.parent)) == before


def test_mode_r_changes_nothing(path: Path) -> None:
    with small_spill(path) as s:
        s["it"] = VALUE
        s["it"] = BIG
    (folder_of(path) / ("0" * 32 + "-" + "0" * 32)).write_bytes(b"x")
    before = {file: (folder_of(path) / file).stat() for file in files(path)}
    with small_spill(path, mode="r") as s:
        assert s["it"] == BIG
        assert s.verify().orphans == ["0" * 32 + "-" + "0" * 32]
        list(export_raw(s.opened))
    after = {file: (folder_of(path) / file).stat() for file in files(path)}
    assert {f: (s.st_ino, s.st_mtime_ns) for f, s in before.items()} == {
        f: (s.st_ino, s.st_mtime_ns) for f, s in after.items()
    }
    with small_spill(path) as s:
        assert s.compact().orphans == 1


@pytest.mark.damaged
def test_database_without_its_folder_says_which_file(path: Path, tmp_path: Path) -> None:
    with small_spill(path) as s:
        s["it"] = BIG
        s["small"] = 1
    copy = tmp_path / "copy.db"
    shutil.copy(path, copy)
    with small_spill(copy) as s:
        assert s["small"] == 1
        with pytest.raises(Corrupt, match=r"copy\.db-spill/.* is missing"):
            s["it"]


def test_placeholder_beside_large_buffers(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where encoding begins anew, what was handed out before is not written."""
    module = tmp_path / "gone_module.py"
    module.write_text("class Gone:\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import gone_module  # type: ignore[import-not-found]

    with small_spill(path) as s:
        s["it"] = [Buffered(BIG), gone_module.Gone()]
        s.compact()
    module.unlink()
    monkeypatch.delitem(__import__("sys").modules, "gone_module")
    with small_spill(path, on_missing="placeholder") as s:
        with s.edit("it") as value:
            value.append(1)
        s.compact()
        assert s["it"][0] == Buffered(BIG) and s["it"][2] == 1
        assert len(files(path)) == 1  # the body, with the buffer in it
