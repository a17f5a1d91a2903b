"""Each kind of error, provoked: its message names what it is about, and what to do next."""

from __future__ import annotations

import asyncio
import errno
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from away import away
from free import needs_held

from store import Store, errors
from store.engines.sqlite.engine import log_files
from store.sessions import Sessions

from store.errors import (  # isort: skip
    ClassNotFound, CodecUnavailable, Conflict, Corrupt, InUse, LockTimeout, NotAStore, NotSerializable,
    OutcomeUnknown, ReadOnly, RecordError, ShardsMismatch, StorageError, StoreClosed, StoreError, StoreNotFound, Tampered,
    UnknownProtocol, Unsupported, Untrusted,
)
from store.system.registry import Registry


class Secret:
    """What takes more than plain data."""


def read_only(place: str) -> None:
    with Store(place, mode="r") as s:
        s["x"] = 2


def conflict(place: str) -> None:
    with Store(place) as s:
        seen = s.record("x")
        s["x"] = 2
        s.put("x", 3, if_version=seen)


def conflict_inside_edit(place: str) -> None:
    with Store(place) as s:
        s["x"] = [1]
        with s.edit("x") as value:
            value.append(2)
            s["x"] = []


@contextmanager
def held(place: str, what: str) -> Iterator[None]:
    """Another process is inside `with` that."""
    program = f"import sys, store\nwith store.Store(sys.argv[1]) as s, {what}: print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield
        finally:
            process.communicate("\n", timeout=60)


def lock_timeout(place: str) -> None:
    with held(place, "s.lock('job')"), Store(place) as s, s.lock("job", timeout=0.0):
        pass


def writer_timeout(place: str) -> None:
    with Store(place) as s:
        needs_held(s)
    with held(place, "s.transaction()"), Store(place, timeout=0.0) as s:
        s["x"] = 2


def second_task(place: str) -> None:
    async def block(s: Store[Any]) -> None:
        with s.transaction():
            await asyncio.sleep(0)

    async def main() -> None:
        with Store(place) as s:
            tasks = [asyncio.create_task(block(s)) for _ in range(2)]
            await tasks[1]

    asyncio.run(main())


def closed(place: str) -> None:
    s: Store[Any] = Store(place)
    s.close()
    s["x"]


def not_serializable(place: str) -> None:
    with Store(place) as s:
        s["x"] = lambda: None


def untrusted(place: str) -> None:
    with Store(place, key="the key of others") as s:
        s["x"] = Secret()
    with Store(place) as s:
        s["x"]


class Passing:
    """A class that a later version of the program has no more."""


def class_gone(place: str) -> None:
    with Store(place) as s, pytest.MonkeyPatch.context() as later:
        s["x"] = Passing()
        later.delattr(sys.modules[__name__], "Passing")
        s["x"]


def unknown(path: Path) -> None:
    """The log cannot be looked at after a commit, as on a file system that was shut down meanwhile."""
    looks = iter([True, True, False])  # at the log and its index before the commit, at the log after it

    def look(name: str) -> os.stat_result | None:
        if next(looks):
            return os.stat(name)
        raise StorageError("it cannot be reached", errno=errno.EIO, path=name)

    with Store(path) as s, pytest.MonkeyPatch.context() as patched:
        s["x"] = 1
        path.with_name("another file").touch()  # else the folder alone is looked at
        patched.setattr(log_files, "status_of", look)
        s["x"] = 2


def foreign_only(place: str) -> None:
    with Store(place, key="the key of others") as s:
        s["x"] = 1
    with Store(place, trust="own") as s:
        s["x"]


def tampered(place: str) -> None:
    with Store(place) as s:
        row = s.opened.find("x")
        assert row is not None
        s.opened.engine.put(row._replace(id=None, body=b"K\x02."))
        s["x"]


def corrupt(place: str) -> None:
    with Store(place) as s:
        row = s.opened.find("x")
        assert row is not None
        s.opened.engine.put(s.opened.values.sealer.seal(row._replace(id=None, body=b"garbage")))
        s["x"]


def unknown_protocol(place: str) -> None:
    with Store(place) as s:
        row = s.opened.find("x")
        assert row is not None
        s.opened.engine.put(s.opened.values.sealer.seal(row._replace(id=None, protocol=9)))
        s["x"]


def unknown_codec(place: str) -> None:
    with Store(place) as s:
        row = s.opened.find("x")
        assert row is not None
        s.opened.engine.put(s.opened.values.sealer.seal(row._replace(id=None, codec="cbor")))
        s["x"]


def codec_not_installed(place: str) -> None:
    registry = Registry("codec")
    registry.register("frob", "frobnicate_it.codec:codec", install="frobnicate-it")
    registry.load("frob")


def deleted(path: Path) -> None:
    with Store(path) as s:
        path.unlink()
        s["x"] = 2


def replaced(path: Path) -> None:
    with Store(path) as s:
        path.rename(path.with_suffix(".old"))
        path.write_text("something else")
        s["x"] = 2


def unsupported(path: Path) -> None:
    with Store(path) as s:
        s.opened.engine.changes.version_of("")  # type: ignore[union-attr]


def nested_edit(place: str) -> None:
    with Store(place) as s:
        s["x"] = [1]
        with s.edit("x"), s.edit("x"):
            pass


def lock_in_transaction(place: str) -> None:
    with Store(place) as s, s.transaction(), s.lock("job"):
        pass


def taken_away(place: str) -> None:
    with Store(place) as s, away(place):
        s["x"] = 2


STORE = "the store itself"
def other_shards(path: Path) -> None:
    Sessions(path, shards=2).close()
    Sessions(path, shards=3)


PROVOKED: list[tuple[Callable[[str], None], type[StoreError], str, str]] = [
    (not_serializable, NotSerializable, "record 'x'", "use the codec 'cloudpickle'"),
    (untrusted, Untrusted, "record 'x'", "@store.allow"),
    (class_gone, ClassNotFound, "Passing", "renames="),
    (foreign_only, Untrusted, "record 'x'", "STORE_KEY_FILE"),
    (tampered, Tampered, "record 'x'", "restore it from a backup, or delete it"),
    (corrupt, Corrupt, "record 'x'", "the record stays as it is"),
    (unknown_protocol, UnknownProtocol, "record 'x'", "upgrade"),
    (unknown_codec, CodecUnavailable, "record 'x'", "upgrade sealed-store, or register the codec"),
    (codec_not_installed, CodecUnavailable, "the codec 'frob'", "pip install frobnicate-it"),
    (conflict, Conflict, "record 'x'", "read it again and retry"),
    (conflict_inside_edit, Conflict, "record 'x'", "change the value that edit gave instead"),
    (nested_edit, StoreError, "record 'x'", "already"),
    (lock_in_transaction, StoreError, "lock('job')", "take the lock first"),
    (lock_timeout, LockTimeout, "the lock 'job'", "try again"),
    (writer_timeout, LockTimeout, STORE, "open the store with a longer timeout"),
    (second_task, InUse, STORE, "use store.aio.AsyncStore"),
    (taken_away, StorageError, STORE, "open the store again"),
    (read_only, ReadOnly, STORE, 'open it with mode="w" to write'),
    (closed, StoreClosed, STORE, "open it again"),
    (other_shards, ShardsMismatch, "'sessions'", "open it with shards=2"),
]
OF_FILES: list[tuple[Callable[[Path], None], type[StoreError], str, str]] = [
    (unknown, OutcomeUnknown, "app.db", "read the record before you write it again"),
    (deleted, StorageError, "app.db", "open the store again"),
    (replaced, StorageError, "app.db", "open the store again"),
    (lambda path: Store(path.parent), StorageError, "is a directory", "a store is a file, for example"),
    (lambda path: Store(path.with_name("y.db"), mode="r"), StoreNotFound, "y.db", 'mode="c" makes one'),
    (lambda path: Store(path.with_name("y") / "z.db"), StoreNotFound, "there is no directory", "make it first"),
    (lambda path: Store(__file__), NotAStore, __file__, "choose another file"),
    (unsupported, Unsupported, "the engine 'sqlite'", "in a store on another engine"),
]


@pytest.mark.parametrize("provoke, kind, what, remedy", PROVOKED, ids=lambda part: getattr(part, "__name__", "")[:30])
@pytest.mark.filterwarnings("ignore:.*sealed with a key")
@pytest.mark.damaged
def test_message_names_what_it_is_about_and_a_remedy(
    place: str, provoke: Callable[[str], None], kind: type[StoreError], what: str, remedy: str
) -> None:
    with Store(place) as s:
        s["x"] = 1
    check_message(partial(provoke, place), kind, s.location if what is STORE else what, remedy)


@pytest.mark.parametrize("provoke, kind, what, remedy", OF_FILES, ids=lambda part: getattr(part, "__name__", "")[:30])
@pytest.mark.damaged
def test_message_about_a_file_names_it_and_a_remedy(
    path: Path, provoke: Callable[[Path], None], kind: type[StoreError], what: str, remedy: str
) -> None:
    with Store(path) as s:
        s["x"] = 1
    check_message(partial(provoke, path), kind, what, remedy)


def check_message(provoke: Callable[[], None], kind: type[StoreError], what: str, remedy: str) -> None:
    with pytest.raises(kind) as caught:
        provoke()
    error = caught.value
    assert type(error) is kind
    assert what in str(error)
    assert remedy in str(error)
    assert "pip install store" not in str(error)
    if isinstance(error, RecordError):
        assert (error.name, error.namespace) == ("x", "")
    if isinstance(error, StorageError):
        assert error.errno is not None
    if "path" in error.evidence:
        assert error.path  # type: ignore[attr-defined]
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))


def test_every_kind_of_error_was_provoked() -> None:
    assert {kind.__name__ for _, kind, _, _ in [*PROVOKED, *OF_FILES]} == set(errors.__all__) - {"RecordError"}
