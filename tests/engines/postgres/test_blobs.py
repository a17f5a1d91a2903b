"""Large values on PostgreSQL: parts in chunks that are checked, and that go with the row that named them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from postgres_tables import chunk_count, execute, files, make_old, small_parts

from store import Store
from store.engines.postgres import parts as chunked
from store.errors import Conflict, Corrupt, ReadOnly, StorageError, StoreClosed, StoreError
from store.rows.row import Row

BIG, OTHER = b"big" * 1000, b"other" * 1000
CHUNK = 1000


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunked, "CHUNK_BYTES", CHUNK)
    monkeypatch.setattr(chunked, "COMMIT_CHUNKS", 4)


@pytest.fixture
def s(postgres_url: str) -> Iterator[Store[Any]]:
    with small_parts(postgres_url) as opened:
        yield opened


def row_of(s: Store[Any], name: str) -> Row:
    row = s.opened.find(name)
    assert row is not None
    return row


@contextmanager
def statements(s: Store[Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What the store sends of statements on connections that it takes from now on."""
    from store.engines.postgres.sessions import Connection

    sent: list[str] = []
    execute = Connection.execute

    def recording(self: Any, query: Any, *args: Any, **how: Any) -> Any:
        sent.append(str(query))
        return execute(self, query, *args, **how)

    with monkeypatch.context() as patched:
        patched.setattr(Connection, "execute", recording)
        yield sent


# -- in and out


@pytest.mark.parametrize("size", [1, CHUNK - 1, CHUNK, CHUNK + 1, 4 * CHUNK, 9 * CHUNK + 1])
def test_value_of_any_number_of_chunks(postgres_url: str, small_chunks: None, size: int) -> None:
    content = os.urandom(size)
    with small_parts(postgres_url, spill_bytes=1) as s:
        blobs = s.opened.engine.blobs
        text = blobs.write("", "it", [content], 5.0)
        (part,) = s.opened.values.large._parts(row_like(text), foreign=False)
        assert blobs.body(part) == bytes(blobs.buffer(part, mapped=True, verify=False)) == content
        assert blobs.contents(part) == content
        assert blobs.problem(part, content=True) is None
        assert chunk_count(postgres_url) == -(-size // CHUNK)


def row_like(text: str) -> Row:
    return Row(None, "", "it", "pickle", 5, None, None, b"", text, b"", 0, 1, 0.0, 0.0, None)


def test_small_value_is_in_its_row(s: Store[Any], postgres_url: str) -> None:
    s["small"] = b"x" * 900
    assert files(postgres_url) == []


def test_empty_part(s: Store[Any]) -> None:
    blobs = s.opened.engine.blobs
    text = blobs.write("", "it", [b"", b"x"], 5.0)
    empty, one = s.opened.values.large._parts(row_like(text), foreign=False)
    assert (blobs.body(empty), blobs.body(one)) == (b"", b"x")


def test_arrays_are_private_copies_that_may_be_written_only_where_they_are_asked_for(s: Store[Any]) -> None:
    numpy = pytest.importorskip("numpy")
    s["array"] = numpy.arange(10_000)
    array = s["array"]
    assert (array == numpy.arange(10_000)).all() and not array.flags.writeable
    with s.edit("array") as own:
        own[0] = 7
    assert s["array"][0] == 7 and array[0] == 0


def test_body_and_its_arrays_are_parts_of_one_record(s: Store[Any], postgres_url: str) -> None:
    numpy = pytest.importorskip("numpy")
    value = [BIG, numpy.arange(1000), numpy.zeros((3, 1000), "f4")]
    s["it"] = value
    assert len(files(postgres_url)) == 3
    found = s["it"]
    assert found[0] == BIG and all((one == other).all() for one, other in zip(found[1:], value[1:], strict=True))


# -- damage


@pytest.mark.parametrize(
    "statement, problem",
    [
        ("DELETE FROM {parts}", "is missing"),
        ("DELETE FROM {chunks} WHERE number = 1", "is truncated: it has"),
        ("DELETE FROM {chunks}", "is truncated: it has 0 bytes"),
        ("UPDATE {chunks} SET data = set_byte(data, 5, 7) WHERE number = 1", "is altered: its chunk 1 does not"),
        ("UPDATE {chunks} SET data = data || 'x'", "is longer than it was written"),
        ("UPDATE {chunks} SET number = number + 5", "is altered: its chunk 5 does not"),
        ("UPDATE {parts} SET digests = ''", "is altered: its chunk 0 does not"),
    ],
)
@pytest.mark.damaged
def test_damaged_part_is_named(
    s: Store[Any], postgres_url: str, small_chunks: None, statement: str, problem: str
) -> None:
    s["it"] = os.urandom(3000)
    (file,) = files(postgres_url)
    execute(postgres_url, statement)
    with pytest.raises(Corrupt, match=problem) as caught:
        s["it"]
    assert (caught.value.name, caught.value.file) == ("it", file)
    found = s.verify()
    ((_, name, text),) = found.files
    assert name == "it" and caught.value.message.endswith(text) and not found.ok


@pytest.mark.damaged
def test_list_of_digests_that_fits_other_content_does_not_help(
    s: Store[Any], postgres_url: str, small_chunks: None
) -> None:
    s["it"] = os.urandom(3000)
    ((size,),) = execute(postgres_url, "SELECT bytes FROM {parts}")
    forged = chunked.content_of("", os.urandom(size))
    execute(postgres_url, "UPDATE {parts} SET digests = %s", forged.digests)
    for number in range(4):
        data = bytes(forged.view[number * CHUNK : (number + 1) * CHUNK])
        execute(postgres_url, "UPDATE {chunks} SET data = %s WHERE number = %s", data, number)
    with pytest.raises(Corrupt, match="its content does not match its checksum"):
        s["it"]


@pytest.mark.damaged
def test_quick_verify_reads_no_content(s: Store[Any], postgres_url: str, small_chunks: None) -> None:
    s["it"] = os.urandom(3000)
    execute(postgres_url, "UPDATE {chunks} SET data = set_byte(data, 5, 7) WHERE number = 1")
    assert s.verify(quick=True).ok and not s.verify().ok


# -- the life of parts


def replace(s: Store[Any]) -> None:
    s["it"] = OTHER


def shrink(s: Store[Any]) -> None:
    s["it"] = 1


def delete(s: Store[Any]) -> None:
    del s["it"]


def pop(s: Store[Any]) -> None:
    assert s.pop("it") == BIG


def expire(s: Store[Any]) -> None:
    s.touch("it", 0.001)
    s.opened.clock = lambda: s.opened.engine.now() + 60
    s["it"] = 1


@pytest.mark.parametrize("change", [replace, shrink, delete, pop, Store.clear, expire])
def test_parts_go_with_the_row_that_named_them(
    s: Store[Any], postgres_url: str, change: Callable[[Store[Any]], object]
) -> None:
    s["it"], s["other"] = BIG, BIG
    before, kept = files(postgres_url)
    change(s)
    assert before not in files(postgres_url) and (kept in files(postgres_url)) == ("other" in s)
    assert (
        len(files(postgres_url)) == sum(row_of(s, name).spill is not None for name in s) == chunk_count(postgres_url)
    )


def test_update_of_many_drops_what_they_replace(s: Store[Any], postgres_url: str) -> None:
    s.update({"a": BIG, "b": BIG, "c": 1})
    s.update({"a": 1, "b": OTHER, "c": BIG})
    assert len(files(postgres_url)) == 2 and dict(s) == {"a": 1, "b": OTHER, "c": BIG}


def test_rolled_back_transaction_keeps_the_old_parts_alone(s: Store[Any], postgres_url: str) -> None:
    s["it"] = BIG
    before = files(postgres_url)
    with pytest.raises(ZeroDivisionError), s.transaction():
        s["it"] = OTHER
        s["more"] = OTHER
        assert s["it"] == s["more"] == OTHER
        assert files(postgres_url) == before  # for others
        raise ZeroDivisionError
    assert s["it"] == BIG and "more" not in s and files(postgres_url) == before


def test_savepoint_that_is_rolled_back(s: Store[Any], postgres_url: str) -> None:
    with s.transaction():
        s["kept"] = BIG
        with pytest.raises(ZeroDivisionError), s.transaction():
            s["kept"] = OTHER
            raise ZeroDivisionError
    assert s["kept"] == BIG and len(files(postgres_url)) == 1


def test_parts_of_an_undone_transaction_are_forgotten(s: Store[Any]) -> None:
    blobs = s.opened.engine.blobs
    written = []
    with pytest.raises(ZeroDivisionError), s.transaction():
        with pytest.raises(ZeroDivisionError), s.transaction():
            s["inner"] = BIG
            written.append(row_of(s, "inner").spill)
            1 / 0
        assert not any(blobs.is_pending(text) for text in written)
        s["outer"] = BIG
        written.append(row_of(s, "outer").spill)
        1 / 0
    assert not any(blobs.is_pending(text) for text in written)


def test_touch_and_rekey_read_and_write_no_part(
    s: Store[Any], postgres_url: str, monkeypatch: pytest.MonkeyPatch, own_key: Any
) -> None:
    s["it"] = BIG
    before = files(postgres_url)
    own_key.write_text("11" * 32 + "\n" + own_key.read_text())
    own_key.chmod(0o600)
    with small_parts(postgres_url) as again, statements(again, monkeypatch) as sent:
        assert again.rekey().resealed == 1
        again.touch("it", 1000)
        assert sent and not [text for text in sent if "chunks" in text or "parts" in text]
        assert again["it"] == BIG
    assert files(postgres_url) == before


def test_reader_whose_parts_vanish_reads_the_record_again(s: Store[Any], postgres_url: str) -> None:
    s["it"] = BIG
    blobs, bodies = s.opened.engine.blobs, []
    body = blobs.body

    def replaced_meanwhile(part: Any) -> bytes:
        if not bodies:
            bodies.append(part)
            with small_parts(postgres_url) as other:
                other["it"] = OTHER
        return body(part)

    blobs.body = replaced_meanwhile
    assert s["it"] == OTHER and bodies


def test_reader_reads_a_part_to_its_end_while_it_is_removed(
    s: Store[Any], postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One statement reads all chunks: the server keeps them for it, also from VACUUM."""
    content = os.urandom(8 * 1024 * 1024)
    s["it"] = content
    rows, seen = chunked.rows, []

    def removed_meanwhile(*args: Any) -> Iterator[Any]:
        for row in rows(*args):
            if not seen:
                execute(postgres_url, "DELETE FROM {records}")
                execute(postgres_url, "VACUUM {chunks}")
                assert files(postgres_url) == []
            seen.append(row[0])
            yield row

    monkeypatch.setattr(chunked, "rows", removed_meanwhile)
    with small_parts(postgres_url) as reader:
        assert reader["it"] == content
    assert seen == list(range(9))


# -- writes that do not finish


def test_parts_of_a_row_that_was_not_put_are_discarded(s: Store[Any], postgres_url: str) -> None:
    row = s.opened.pack("it", BIG, None)
    assert len(files(postgres_url)) == 1
    s.opened.values.discard(row)
    assert files(postgres_url) == []


def test_conflict_discards_them(s: Store[Any], postgres_url: str) -> None:
    s["it"] = 1
    record = s.record("it")
    s["it"] = 2
    with pytest.raises(Conflict):
        s.put("it", BIG, if_version=record)
    assert files(postgres_url) == []


def test_upload_that_fails_leaves_nothing(
    s: Store[Any], postgres_url: str, small_chunks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, copies = chunked._copy, []

    def failing(*args: Any) -> None:
        copies.append(args)
        if len(copies) == 2:
            raise MemoryError
        copy(*args)

    monkeypatch.setattr(chunked, "_copy", failing)
    with pytest.raises(MemoryError):
        s["it"] = os.urandom(9000)
    assert (files(postgres_url), "it" in s) == ([], False)


def test_connection_that_is_lost_during_an_upload_is_replaced(
    s: Store[Any], postgres_url: str, small_chunks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, copies = chunked._copy, []

    def killed(conn: Any, *args: Any) -> None:
        copies.append(args)
        if len(copies) == 2:
            execute(postgres_url, "SELECT pg_terminate_backend(%s)", conn.info.backend_pid)
        copy(conn, *args)

    monkeypatch.setattr(chunked, "_copy", killed)
    content = os.urandom(9000)
    s["it"] = content
    assert s["it"] == content and len(copies) == 5 and len(files(postgres_url)) == 1


def test_orphans_of_killed_writers_are_removed_by_compact(s: Store[Any], postgres_url: str) -> None:
    s["kept"] = OTHER
    (kept,) = files(postgres_url)
    s.opened.pack("it", BIG, None)  # and the writer is killed
    assert s.verify().orphans == [] and s.compact().orphans == 0  # it may be alive
    make_old(postgres_url)
    (orphan,) = set(files(postgres_url)) - {kept}
    assert s.verify().orphans == [orphan] and s.verify().ok
    done = s.compact()
    assert (done.orphans, done.file_bytes, files(postgres_url)) == (1, 3018, [kept])


def test_row_whose_parts_were_removed_meanwhile_is_not_put(s: Store[Any], postgres_url: str) -> None:
    row = s.opened.pack("it", BIG, None)
    make_old(postgres_url)
    with small_parts(postgres_url) as other:
        assert other.compact().orphans == 1
    with pytest.raises(StorageError, match=r"removed before its row was written.*write it again"):
        s.opened.put(row)
    assert "it" not in s


def test_part_that_is_claimed_while_compact_waits_for_it_stays(s: Store[Any], postgres_url: str) -> None:
    row = s.opened.pack("it", BIG, None)
    make_old(postgres_url)
    removed: list[int] = []

    def compact() -> None:
        with small_parts(postgres_url) as other:
            removed.append(other.compact().orphans)

    with s.transaction():
        s.opened.put(row)  # the part is claimed, and not committed
        thread = threading.Thread(target=compact)
        thread.start()
        while not execute(postgres_url, "SELECT 1 FROM pg_locks WHERE NOT granted"):
            pass
    thread.join(60)
    assert removed == [0] and s["it"] == BIG


def test_read_only_store_writes_none(s: Store[Any], postgres_url: str) -> None:
    with small_parts(postgres_url, mode="r") as reader, pytest.raises(ReadOnly):
        reader["it"] = BIG
    assert files(postgres_url) == []


def test_handle_of_another_namespace_outlives_the_first(postgres_url: str) -> None:
    first = small_parts(postgres_url)
    other = first.within("other")
    first.close()
    with other:
        other["it"] = BIG
        assert other["it"] == BIG
    with pytest.raises(StoreClosed):
        other["it"]


# -- hostile rows


@pytest.mark.damaged
def test_row_that_names_parts_of_another_record_takes_none_with_it(s: Store[Any], postgres_url: str) -> None:
    s["it"], s["thief"] = BIG, 1
    execute(
        postgres_url,
        "UPDATE {records} SET spill = (SELECT spill FROM {records} WHERE name = 'it') WHERE name = 'thief'",
    )
    del s["thief"]
    assert s["it"] == BIG


@pytest.mark.damaged
@pytest.mark.parametrize("text", ["[", "[]", '[["a",1,"b"]]', "\\", "%_", '[["0-0",-1,""]]'])
def test_malformed_list_of_parts_is_deleted_with_its_row(s: Store[Any], postgres_url: str, text: str) -> None:
    s["it"] = 1
    execute(postgres_url, "UPDATE {records} SET spill = %s", text)
    s["it"] = BIG
    execute(postgres_url, "UPDATE {records} SET spill = %s", text)
    s.clear()
    assert len(s) == 0


# -- outcomes, interrupts, many at once


def test_commit_whose_answer_is_lost_keeps_the_parts(
    s: Store[Any], postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row may be committed, so only a part that no commit has claimed may be discarded."""
    import psycopg

    from store.engines.postgres.sessions import Connection

    row = s.opened.pack("it", BIG, None)
    execute_ = Connection.execute

    def losing(self: Any, query: Any, *args: Any, **how: Any) -> Any:
        done = execute_(self, query, *args, **how)
        if query == "COMMIT":
            raise psycopg.OperationalError("the connection was lost")
        return done

    with monkeypatch.context() as patched:
        patched.setattr(Connection, "execute", losing)
        try:
            s.opened.put(row)
        except StoreError:
            pass
    assert s["it"] == BIG and len(files(postgres_url)) == 1


@pytest.mark.parametrize("when", ["write", "read"])
def test_interrupt_in_the_middle(
    s: Store[Any], postgres_url: str, small_chunks: None, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    content = os.urandom(9000)
    s["it"] = content
    pack, rows = chunked._copy, chunked.rows

    def interrupted_copy(*args: Any) -> None:
        pack(*args)
        raise KeyboardInterrupt

    def interrupted_rows(*args: Any) -> Iterator[Any]:
        for row in rows(*args):
            yield row
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(
            chunked, "_copy" if when == "write" else "rows", interrupted_copy if when == "write" else interrupted_rows
        )
        with pytest.raises(KeyboardInterrupt):
            s["other"] = s["it"] if when == "read" else content
    assert s["it"] == content and len(files(postgres_url)) == 1
    s["other"] = OTHER
    assert s["other"] == OTHER


def test_many_threads_replace_and_read_one_record(postgres_url: str) -> None:
    """Each read is one whole value of those that were written; no part is left in the end."""
    values = [bytes([number]) * (20_000 + number) for number in range(4)]
    problems: list[Any] = []

    def work(number: int) -> None:
        try:
            with small_parts(postgres_url, timeout=60) as s:
                for turn in range(8):
                    if turn % 4 == number:
                        s.pop("it", None)
                    s["it"] = values[number]
                    found = s.get("it", values[0])
                    assert found in values
        except BaseException as exc:
            problems.append(exc)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert problems == []
    with small_parts(postgres_url) as s:
        assert s["it"] in values and s.verify().ok
        assert len(files(postgres_url)) == chunk_count(postgres_url) == 1
        s.clear()
    assert files(postgres_url) == []


def test_connection_that_is_lost_during_a_read_is_replaced(
    s: Store[Any], postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(20 * 1024 * 1024)  # more than the buffers between server and client hold
    s["it"] = content
    rows, starts = chunked.rows, []

    def killed(conn: Any, *args: Any) -> Iterator[Any]:
        starts.append(conn)
        for row in rows(conn, *args):
            yield row
            if len(starts) == 1:
                execute(postgres_url, "SELECT pg_terminate_backend(%s)", conn.info.backend_pid)

    monkeypatch.setattr(chunked, "rows", killed)
    assert s["it"] == content and len(starts) == 2


def test_usage_counts_the_parts(s: Store[Any]) -> None:
    before = s.stats().file_bytes
    s["it"] = os.urandom(5_000_000)
    assert s.stats().file_bytes > before + 5_000_000
