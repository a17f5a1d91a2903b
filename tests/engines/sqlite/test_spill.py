"""Values too large for their rows: what goes to files, what stays of them, what goes again."""

from __future__ import annotations

import errno
import os
import pickle
import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from buffered import Buffered
from spilling import BIG, OTHER, files, folder_of, only_file, small_spill

from store import ABSENT, Store
from store.engines.sqlite.engine import checkpoints as sqlite_checkpoints
from store.engines.sqlite.spill import writing as spill_writing
from store.errors import (
    Conflict,
    Corrupt,
    LockTimeout,
    NotSerializable,
    ReadOnly,
    StorageError,
    StoreClosed,
    StoreError,
)
from store.rows.spilled import is_file
from store.values.large import DEFAULT_SPILL_BYTES


def row_of(path: Path, name: str) -> tuple[Any, ...]:
    with closing(sqlite3.connect(path)) as conn:
        row: tuple[Any, ...] = conn.execute(
            "SELECT length(body), spill, id, revision FROM records WHERE name = ?", (name,)
        ).fetchone()
        return row


def garbage(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as conn:
        return {file for (file,) in conn.execute("SELECT file FROM garbage")}


# -- what goes where


def test_small_value_makes_no_folder(path: Path) -> None:
    with small_spill(path) as s:
        s["small"] = b"x" * 900
        s["buffered"] = Buffered(b"x" * 900)
        assert s["buffered"].data == b"x" * 900
    assert not folder_of(path).exists()


def test_default_is_a_mebibyte(path: Path) -> None:
    with Store[Any](path) as s:
        s["small"] = bytes(DEFAULT_SPILL_BYTES - 100)
        assert files(path) == []
        s["large"] = bytes(DEFAULT_SPILL_BYTES)
        assert len(files(path)) == 1
        assert s["large"] == bytes(DEFAULT_SPILL_BYTES)


def test_large_body_is_a_file(path: Path) -> None:
    with small_spill(path) as s:
        s["it"] = BIG
        assert s["it"] == BIG
        length, text, _, _ = row_of(path, "it")
        assert length == 0 and only_file(path).name in text
        assert pickle.loads(only_file(path).read_bytes()) == BIG
        assert is_file(only_file(path).name)


def test_large_buffer_is_a_file_and_its_body_is_not(path: Path) -> None:
    value = Buffered(bytes(range(256)) * 10, "note")
    with small_spill(path) as s:
        s["it"] = value
        found = s["it"]
        assert found == value
        assert found.data.readonly and not isinstance(found.data, bytes)
        assert row_of(path, "it")[0] > 0
        assert only_file(path).read_bytes() == value.data


def test_both_of_them_and_small_buffers_in_band(path: Path) -> None:
    value = [Buffered(BIG), Buffered(b"small"), BIG, Buffered(OTHER)]
    with small_spill(path) as s:
        s["it"] = value
        found = s["it"]
        assert found == value
        assert type(found[1].data) is bytes
        assert len(files(path)) == 3


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol(path: Path, protocol: int) -> None:
    with small_spill(path, protocol=protocol) as s:
        s["it"] = Buffered(BIG)
        assert s["it"] == Buffered(BIG)


def test_codec_without_buffers(path: Path) -> None:
    with small_spill(path, codec="json") as s:
        s["it"] = ["x" * 5000]
        assert s["it"] == ["x" * 5000]
        assert only_file(path).read_bytes().startswith(b'["xxx')


def test_in_memory_nothing_is_spilled(tmp_path: Path) -> None:
    with small_spill(":memory:") as s:  # type: ignore[arg-type]
        s["it"] = [Buffered(BIG), BIG]
        assert s["it"] == [Buffered(BIG), BIG]
        assert s.compact().files == 0
        assert s.verify().orphans == []
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("choice", [True, "1000", 1.5, None])
def test_spill_bytes_of_another_type(path: Path, choice: Any) -> None:
    with pytest.raises(TypeError, match="spill_bytes is a number of bytes"):
        Store(path, spill_bytes=choice)
    assert not path.exists()


@pytest.mark.parametrize("choice", [0, -1])
def test_spill_bytes_that_are_none(path: Path, choice: int) -> None:
    with pytest.raises(ValueError, match="from 1 up"):
        Store(path, spill_bytes=choice)


@pytest.mark.parametrize("option", ["mmap", "verify_buffers"])
def test_switch_is_a_bool(path: Path, option: str) -> None:
    with pytest.raises(TypeError, match=f"{option} is True or False"):
        Store(path, **{option: 1})  # type: ignore[arg-type]


def test_options_survive_pickling_and_within(path: Path) -> None:
    with small_spill(path, mmap=False, verify_buffers=True) as s, s.within("more") as more:
        more["it"] = Buffered(bytearray(BIG))
        assert not more["it"].data.readonly
        with pickle.loads(pickle.dumps(s)) as again:
            again["it"] = Buffered(bytearray(BIG))
            assert not again["it"].data.readonly
        assert len(files(path)) == 2


def test_sizes_count_the_files(path: Path) -> None:
    with small_spill(path) as s:
        s["it"] = [Buffered(BIG), Buffered(OTHER)]
        s["small"] = 1
        in_row = row_of(path, "it")[0]
        whole = in_row + len(BIG) + len(OTHER)
        assert s.record("it").size == whole
        assert [record.size for record in s.records("it")] == [whole]
        assert s.put("it", [Buffered(BIG), Buffered(OTHER)]).size == whole
        assert s.inspect("it").record.size == whole
        assert s.stats().bytes == whole + s.record("small").size


def test_files_have_the_rights_of_the_database(path: Path) -> None:
    with small_spill(path) as s:
        path.chmod(0o640)
        s["it"] = BIG
        assert stat.S_IMODE(only_file(path).stat().st_mode) == 0o640
        assert stat.S_IMODE(folder_of(path).stat().st_mode) == 0o750


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_that_root_writes_are_the_owners(path: Path) -> None:
    with small_spill(path) as s:
        os.chown(path, 65534, 65534)
        s["it"] = BIG
        assert (only_file(path).stat().st_uid, folder_of(path).stat().st_gid) == (65534, 65534)


# -- mapped and private


def test_private_copy_can_be_written_and_is_nobody_elses(path: Path) -> None:
    with small_spill(path, mmap=False) as s:
        s["it"] = Buffered(bytearray(BIG))
        found = s["it"]
        found.data[:3] = b"BIG"
        assert s["it"] == Buffered(BIG)


def test_what_was_read_only_comes_back_so(path: Path) -> None:
    """As pickle has it for what is in band."""
    with small_spill(path, mmap=False) as s:
        s["it"] = Buffered(BIG)
        assert s["it"].data.readonly


def test_mapped_value_stays_what_it_is(path: Path) -> None:
    """Replaced, deleted, removed from the disk, or the store closed."""
    with small_spill(path) as s:
        s["it"] = Buffered(BIG)
        first = s["it"]
        s["it"] = Buffered(OTHER)
        second = s["it"]
        del s["it"]
        assert s.compact().files == 2 and files(path) == []
        assert (first, second) == (Buffered(BIG), Buffered(OTHER))
    assert (first, second) == (Buffered(BIG), Buffered(OTHER))


def test_map_that_cannot_be_had_is_a_copy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: Any, **__: Any) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    with small_spill(path) as s:
        s["it"] = Buffered(BIG)
        monkeypatch.setattr("store.engines.sqlite.spill.reading.map_file", none_left)
        found = s["it"]
        assert found == Buffered(BIG) and found.data.readonly


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_file_of_another_user_is_copied_and_compared(path: Path) -> None:
    """Its owner could cut it short while it is mapped."""
    with small_spill(path) as s:
        s["it"] = Buffered(BIG)
        file = only_file(path)
        os.chown(file, 65534, 65534)
        found = s["it"]
        file.write_bytes(OTHER[: len(BIG)])
        assert found == Buffered(BIG)
        with pytest.raises(Corrupt, match="is altered") as caught:
            s["it"]
        assert caught.value.file == str(file)
        file.write_bytes(BIG)


# -- changes


def test_update_keeps_place_and_counts_on(path: Path) -> None:
    with small_spill(path) as s:
        s.update(a=BIG, b=1)
        first = s.record("a")
        s["a"] = OTHER
        s["a"] = "small"
        s["a"] = BIG
        last = s.record("a")
        assert list(s) == ["a", "b"]
        assert (last.created, last.revision) == (first.created, 4)
        assert len(set(files(path)) - garbage(path)) == 1


def test_update_of_many(path: Path) -> None:
    with small_spill(path) as s:
        s.update({"a": BIG, "b": 1, "c": OTHER})
        s.update({"b": BIG, "a": 2, "c": Buffered(BIG), "d": OTHER})
        assert dict(s) == {"a": 2, "b": BIG, "c": Buffered(BIG), "d": OTHER}
        assert list(s) == ["a", "b", "c", "d"]
        assert len(set(files(path)) - garbage(path)) == 3


def test_expired_record_is_replaced_and_its_file_given_up(path: Path, clock: Any) -> None:
    with small_spill(path, clock=clock) as s:
        s.put("it", BIG, ttl=5)
        s["more"] = 1
        clock.advance(10)
        s["it"] = OTHER
        assert list(s) == ["more", "it"] and s.record("it").revision == 1
        assert len(set(files(path)) - garbage(path)) == 1


GIVES_UP: dict[str, Callable[[Store[Any]], Any]] = {
    "del": lambda s: s.__delitem__("it"),
    "pop": lambda s: s.pop("it"),
    "popitem": lambda s: s.popitem(),
    "clear": lambda s: s.clear(),
    "small": lambda s: s.__setitem__("it", 1),
    "put": lambda s: s.put("it", OTHER),
    "modify": lambda s: s.modify("it", lambda value: value + b"x"),
    "update": lambda s: s.update(it=1),
    "mode n": lambda s: Store(s.location, mode="n").close(),
    "expired": lambda s: (s.touch("it", 1), s.opened.clock.clock.advance(2), s.purge()),  # type: ignore[attr-defined]
}


@pytest.mark.parametrize("give_up", GIVES_UP.values(), ids=list(GIVES_UP))
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a transaction"])
def test_old_file_is_garbage_first_and_goes_with_a_checkpoint(
    path: Path, clock: Any, give_up: Callable[[Store[Any]], Any], inside: bool
) -> None:
    with small_spill(path, clock=clock) as s:
        s["it"] = BIG
        (old,) = files(path)
        if inside:
            with s.transaction():
                give_up(s)
        else:
            give_up(s)
        assert garbage(path) == {old}
        assert old in files(path)
        freed = s.compact()
        assert (freed.files, freed.orphans, freed.files_left) == (1, 0, 0)
        assert freed.file_bytes > len(BIG)
        assert garbage(path) == set()
        assert old not in files(path)


def test_nothing_is_removed_while_a_reader_has_the_state_before(path: Path) -> None:
    with small_spill(path) as s:
        s["it"] = BIG
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM records").fetchone()
            s["it"] = OTHER
            old, _ = files(path)
            assert s.compact().files_left == 1
            assert old in files(path)
            reader.execute("ROLLBACK")
        assert s.compact().files == 1
        assert old not in files(path)


def test_dropped_bytes_bring_the_checkpoint_nearer(path: Path) -> None:
    """Else a large array that is overwritten again and again would fill the disk."""
    large = bytes(sqlite_checkpoints.DROPPED_BYTES // 2 + 4096)
    with Store[Any](path) as s:
        for number in range(8):
            s["it"] = [number, large]
            assert len(files(path)) <= 3
        assert s.stats().checkpoint_error is None
        assert s["it"] == [7, large]


@pytest.mark.slow
def test_compact_gives_free_pages_back(path: Path) -> None:
    with Store[Any](path) as s:
        s.update({f"n{number}": bytes(10_000) for number in range(1_500)})
        before = path.stat().st_size
        s.clear()
        assert s.compact().database_bytes > 2_500_000
        assert path.stat().st_size < before / 10


def test_compact_inside_a_transaction_is_refused(path: Path) -> None:
    with Store[Any](path) as s, s.transaction():
        with pytest.raises(StoreError, match="leave the block first"):
            s.compact()


def test_file_that_is_gone_already_is_no_garbage_any_more(path: Path) -> None:
    with small_spill(path) as s:
        s["it"] = BIG
        only_file(path).unlink()
        del s["it"]
        s.compact()
        assert garbage(path) == set()


def _edit_nothing(s: Store[Any]) -> None:
    with s.edit("it") as value:
        assert value == [Buffered(BIG), BIG]


def _read_and_sync(s: Store[Any]) -> None:
    with small_spill(Path(s.location), writeback=True) as live:
        assert live["it"] == [Buffered(BIG), BIG]
        live.sync()


KEEPS: dict[str, Callable[[Store[Any]], Any]] = {
    "touch": lambda s: s.touch("it", 100),
    "admit": lambda s: s.admit(s.inspect("it")),
    "edit without a change": _edit_nothing,
    "writeback without a change": _read_and_sync,
}


@pytest.mark.parametrize("keep", KEEPS.values(), ids=list(KEEPS))
def test_files_stay_where_the_value_does(path: Path, clock: Any, keep: Callable[[Store[Any]], Any]) -> None:
    with small_spill(path, clock=clock) as s:
        s["it"] = [Buffered(BIG), BIG]
        before = files(path)
        keep(s)
        assert s["it"] == [Buffered(BIG), BIG]
        s.compact()
        assert files(path) == before
        assert garbage(path) == set()
        assert s["it"] == [Buffered(BIG), BIG]


def test_edit_gives_what_can_be_changed(path: Path) -> None:
    with small_spill(path) as s:
        s["it"] = Buffered(bytearray(BIG))
        with s.edit("it") as value:
            value.data[:3] = b"BIG"
        assert bytes(s["it"].data[:6]) == b"BIGbig"
        assert s.modify("it", _shouted) == s["it"]
        assert bytes(s["it"].data[:6]) == b"BIGBIG"


def _shouted(value: Buffered) -> Buffered:
    value.data[:6] = b"BIGBIG"
    return value


def test_writeback_writes_what_changed(path: Path) -> None:
    with small_spill(path, writeback=True) as s:
        s["a"], s["b"] = Buffered(bytearray(BIG)), [1]
        s.sync()
        before = set(files(path))
        s["a"].data[:3] = b"BIG"
        s["b"].append(BIG)
        s.sync()
        assert bytes(s["a"].data[:3]) == b"BIG" and s["b"] == [1, BIG]
        assert len(set(files(path)) - before) == 2


def test_writeback_of_what_somebody_else_wrote_into_rows(path: Path) -> None:
    """Read, it counts as large here; unchanged, no file of it is left."""
    with Store[Any](path) as s:
        s["it"] = [BIG]
    with small_spill(path, writeback=True) as s:
        assert s["it"] == [BIG]
        s.sync()
        assert files(path) == []


# -- failures


class Unpicklable:
    def __reduce__(self) -> Any:
        raise TypeError("not this one")


class NoSuchChange(Exception):
    pass


def roll_back(s: Store[Any]) -> None:
    with s.transaction():
        s["it"] = OTHER
        s["new"] = OTHER
        assert s["it"] == s["new"] == OTHER
        raise NoSuchChange


def roll_back_inside(s: Store[Any]) -> None:
    with s.transaction():
        with pytest.raises(NoSuchChange):
            roll_back(s)
        assert s["it"] == BIG
    raise NoSuchChange


def roll_back_around(s: Store[Any]) -> None:
    with s.transaction():
        with s.transaction():
            s["new"] = OTHER
        s["it"] = OTHER
        raise NoSuchChange


def encode_later(s: Store[Any]) -> None:
    s.update([("it", OTHER), ("new", [OTHER, Unpicklable()])])


def write_while_locked(s: Store[Any], write: Callable[[], Any]) -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with s.transaction():
            held.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        held.wait(60)
        write()
    finally:
        done.set()
        thread.join()


FAILS: dict[str, tuple[Callable[[Store[Any]], Any], type[Exception]]] = {
    "conflict": (lambda s: s.put("it", OTHER, if_version=ABSENT), Conflict),
    "not encoded": (lambda s: s.__setitem__("it", [OTHER, Unpicklable()]), NotSerializable),
    "buffers and not encoded": (lambda s: s.__setitem__("it", [Buffered(OTHER), Unpicklable()]), NotSerializable),
    "one of many not encoded": (encode_later, NotSerializable),
    "rolled back": (roll_back, NoSuchChange),
    "rolled back inside": (roll_back_inside, NoSuchChange),
    "rolled back around": (roll_back_around, NoSuchChange),
    "locked": (lambda s: write_while_locked(s, lambda: s.__setitem__("it", OTHER)), LockTimeout),
    "locked in put": (lambda s: write_while_locked(s, lambda: s.put("it", OTHER)), LockTimeout),
}


@pytest.mark.parametrize("fail, error", FAILS.values(), ids=list(FAILS))
def test_write_that_fails_leaves_no_file(
    path: Path, fail: Callable[[Store[Any]], Any], error: type[Exception]
) -> None:
    with small_spill(path, timeout=0) as s:
        s["it"] = BIG
        before = files(path)
        with pytest.raises(error):
            fail(s)
        assert files(path) == before
        assert garbage(path) == set()
        assert dict(s) == {"it": BIG}
        assert s.opened.engine.blobs._pending == {}  # type: ignore[union-attr]


def test_write_that_fails_in_the_middle_leaves_no_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, calls = os.write, []

    def full(descriptor: int, data: Any) -> int:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data)

    with small_spill(path) as s:
        s["it"] = BIG
        before = files(path)
        monkeypatch.setattr(spill_writing.os, "write", full)
        with pytest.raises(StorageError, match="the disk is full: free space and try again") as caught:
            s["it"] = [Buffered(OTHER), Buffered(BIG)]
        assert caught.value.errno == errno.ENOSPC
        assert files(path) == before and s["it"] == BIG


def test_interrupt_in_the_middle_leaves_no_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    with small_spill(path) as s:
        with monkeypatch.context() as patch:
            patch.setattr(spill_writing.os, "fsync", interrupted)
            with pytest.raises(KeyboardInterrupt):
                s["it"] = BIG
        assert files(path) == [] and "it" not in s


def test_interrupt_after_the_commit_keeps_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The transaction counts as rolled back; what its row names must stay all the same."""
    with small_spill(path) as s:
        s["before"] = 1
        slot = s.opened.engine.handle.engine.connection()  # type: ignore[attr-defined]
        run = type(slot).run

        def committed_and_interrupted(self: Any, sql: str, *args: Any) -> Any:
            result = run(self, sql, *args)
            if sql == "COMMIT":
                raise KeyboardInterrupt
            return result

        with monkeypatch.context() as patch:
            patch.setattr(type(slot), "run", committed_and_interrupted)
            with pytest.raises(KeyboardInterrupt):
                s["it"] = BIG
        assert s["it"] == BIG


def test_value_packed_and_never_put_goes_with_the_next_one(path: Path) -> None:
    """What an interrupt between the two leaves behind."""
    with small_spill(path) as s:
        s.opened.pack("lost", BIG, None)
        assert len(files(path)) == 1
        s["it"] = OTHER
        assert len(files(path)) == 1 and s["it"] == OTHER


def test_value_packed_in_a_transaction_and_never_put(path: Path) -> None:
    with small_spill(path) as s:
        with s.transaction():
            s.opened.pack("lost", BIG, None)
            s["it"] = OTHER
            assert len(files(path)) == 2
        assert len(files(path)) == 1 and s["it"] == OTHER


def test_row_whose_files_were_given_up_is_not_committed(path: Path) -> None:
    with small_spill(path) as s:
        row = s.opened.pack("it", BIG, None)
        s.opened.values.discard(row)
        with pytest.raises(StorageError, match="write it again"):
            s.opened.put(row)
        assert "it" not in s


def test_read_only_store_writes_no_file(path: Path) -> None:
    with small_spill(path) as s:
        s["it"] = BIG
    with small_spill(path, mode="r") as s:
        with pytest.raises(ReadOnly, match='mode="w"'):
            s["it"] = OTHER
        with pytest.raises(ReadOnly):
            s.compact()
        assert s["it"] == BIG
        assert len(files(path)) == 1


def test_closed_store_leaves_no_file(path: Path) -> None:
    with small_spill(path) as keeps_it_open:
        s = small_spill(path)
        s.close()
        with pytest.raises(StoreClosed):
            s["it"] = BIG
        assert files(path) == [] and len(keeps_it_open) == 0


# -- reading what is not there


@pytest.mark.damaged
@pytest.mark.parametrize("value", [BIG, Buffered(BIG)], ids=["body", "buffer"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "longer"])
def test_damaged_file_is_named_and_other_records_are_unharmed(path: Path, value: Any, damage: str) -> None:
    with small_spill(path) as s:
        s.update(it=value)
        file = only_file(path)
        s.update(other=OTHER, small=1)
        if damage == "missing":
            file.unlink()
        else:
            os.truncate(file, len(BIG) - 5 if damage == "truncated" else 1_000_000)
        for read in (lambda: s["it"], lambda: s.get("it"), lambda: list(s.values()), lambda: s.get_many(["it"])):
            with pytest.raises(Corrupt, match=r"record 'it': its file .* is ") as caught:
                read()
            assert (caught.value.file, caught.value.name) == (str(file), "it")
        assert (s["other"], s["small"], "it" in s, len(s)) == (OTHER, 1, True, 3)
        found = s.verify()
        assert [entry[:2] for entry in found.files] == [("", "it")] and str(file) in found.files[0][2]
        assert (found.sealed, found.ok, found.orphans) == (3, False, [])
        s["it"] = 1
        assert s.verify().ok


@pytest.mark.damaged
def test_bit_that_flipped_in_a_body(path: Path) -> None:
    with small_spill(path) as s:
        s["it"] = BIG
        flip(only_file(path))
        with pytest.raises(Corrupt, match="is altered"):
            s["it"]
        assert "is altered" in s.verify().files[0][2]


@pytest.mark.damaged
def test_bit_that_flipped_in_a_buffer(path: Path) -> None:
    with small_spill(path) as s, small_spill(path, verify_buffers=True) as careful:
        s["it"] = Buffered(BIG)
        flip(only_file(path))
        assert s["it"] != Buffered(BIG)  # what is mapped is not read first
        with pytest.raises(Corrupt, match="is altered"):
            careful["it"]
        assert "is altered" in s.verify().files[0][2]


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)


def replaced_while_read(s: Store[Any], change: Callable[[], Any]) -> None:
    """After a row of `s` was fetched, and before its file is opened, `change` happens and the old file goes."""
    large = s.opened.values.large
    assert large is not None
    read = large.read

    def late(row: Any, **options: Any) -> Any:
        large.read = read  # type: ignore[method-assign]
        change()
        s.compact()
        return read(row, **options)

    large.read = late  # type: ignore[method-assign]


READS: dict[str, Callable[[Store[Any]], Any]] = {
    "[]": lambda s: s["it"],
    "get": lambda s: s.get("it"),
    "values": lambda s: next(iter(s.values())),
    "items": lambda s: dict(s.items())["it"],
    "get_many": lambda s: s.get_many(["it"])["it"],
    "setdefault": lambda s: s.setdefault("it", 5),
    "copy": lambda s: (s | {})["it"],
}


@pytest.mark.parametrize("read", READS.values(), ids=list(READS))
@pytest.mark.parametrize("new", [OTHER, "small"], ids=["large", "small"])
def test_record_replaced_while_it_is_read(path: Path, read: Callable[[Store[Any]], Any], new: Any) -> None:
    with small_spill(path) as s:
        s["it"] = BIG
        replaced_while_read(s, lambda: s.__setitem__("it", new))
        assert read(s) == new


def test_record_deleted_while_it_is_read(path: Path) -> None:
    with small_spill(path) as s:
        for read, expected in (
            (lambda: s.get("it", 5), 5),
            (lambda: list(s.values()), []),
            (lambda: s.get_many(["it"]), {}),
            (lambda: s == {}, True),
            (lambda: s | {}, {}),
            (lambda: s.setdefault("it", 7), 7),
        ):
            s["it"] = BIG
            replaced_while_read(s, lambda: s.__delitem__("it"))
            assert read() == expected
            s.clear()
        s["it"] = BIG
        replaced_while_read(s, lambda: s.__delitem__("it"))
        with pytest.raises(KeyError, match="it"):
            s["it"]


# -- folders that are something else


@pytest.mark.damaged
def test_folder_that_is_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    with small_spill(path) as s:
        s["it"] = BIG
        folder_of(path).rename(tmp_path / "elsewhere")
        folder_of(path).symlink_to(tmp_path / "elsewhere")
        for use in (lambda: s["it"], lambda: s.__setitem__("new", BIG)):
            with pytest.raises(StorageError, match="not followed"):
                use()
        assert len(os.listdir(tmp_path / "elsewhere")) == 1
        assert s.verify().files or s.verify().damage


def test_folder_that_may_not_be_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = os.open

    def closed(name: Any, *args: Any, **options: Any) -> int:
        if name == str(folder_of(path)):
            raise PermissionError(errno.EACCES, "Permission denied")
        return plain(name, *args, **options)

    with small_spill(path) as s:
        s["it"] = BIG
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", closed)
            with pytest.raises(StorageError, match="cannot be opened: Permission denied"):
                s["it"]
            with pytest.raises(ReadOnly, match="cannot be written"):
                s["it"] = OTHER
            assert "cannot be opened" in s.verify().damage[0]
        assert s["it"] == BIG


def test_other_files_in_the_folder_are_left_alone(path: Path) -> None:
    with small_spill(path) as s:
        s["it"] = BIG
        mine = folder_of(path) / "notes.txt"
        mine.write_text("mine")
        assert s.verify().orphans == []
        s.compact()
        assert mine.exists()
        mine.unlink()
