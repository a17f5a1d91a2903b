"""Several keys: a new one seals, old ones verify, a retired one never seals, and running programs take part."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from store import Store
from store.errors import StorageError, Untrusted
from store.system.locking import Hold, WriterLock, locked
from store.trust.keys import changing as key_files
from store.trust.keys import ring as keys
from store.trust.keys.changing import add_key, create_key_file, retire_key
from store.trust.keys.file import read_key_file
from store.trust.keys.key import Key
from store.trust.keys.ring import Keyring

FIRST, SECOND = "a1" * 32, "b2" * 32
FOREIGN_KEY = "ignore:.*sealed with a key"
KeyFile = Callable[..., Path]


class Thing:
    """What takes a key to read."""


def id_of(secret: str) -> bytes:
    return Key(bytes.fromhex(secret)).id


def sealing_id(ring: Keyring) -> bytes | None:
    key = ring.sealing_key()
    return key.id if key else None


@pytest.fixture(autouse=True)
def looks_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at the key file before each write, so that no test has to wait for the next one."""
    monkeypatch.setattr(keys, "LOOK_SECONDS", 0.0)


def test_running_program_looks_at_its_key_file_no_more_often_than_it_must(
    key_file: KeyFile, own_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "LOOK_SECONDS", 0.05)
    now = [100.0]
    key_file(own_key, FIRST)
    ring = Keyring(clock=lambda: now[0])
    assert sealing_id(ring) == id_of(FIRST)
    key_file(own_key, SECOND, FIRST)
    now[0] += 0.04
    assert sealing_id(ring) == id_of(FIRST)
    now[0] += 0.02
    assert sealing_id(ring) == id_of(SECOND)
    own_key.write_text("")
    assert ring.find(id_of("c3" * 32)) is None  # an unknown key is looked for at once, and nothing is lost by it
    assert sealing_id(ring) == id_of(SECOND)


def test_new_key_seals_and_the_old_one_verifies(place: str, own_key: Path) -> None:
    with Store(place, trust="own") as s:
        s["old"] = Thing()
    (old,) = read_key_file(own_key)
    new = add_key(own_key)
    assert [key.id for key in read_key_file(own_key)] == [new.id, old.id]
    with Store(place, trust="own") as s:
        s["new"] = Thing()
        assert (s.record("old").sealed_by, s.record("new").sealed_by) == (old.id.hex(), new.id.hex())
        assert type(s["old"]) is type(s["new"]) is Thing
    assert stat.S_IMODE(own_key.stat().st_mode) == 0o600


def test_retired_key_verifies_and_never_seals(key_file: KeyFile, place: str, own_key: Path) -> None:
    key_file(own_key, "# newest first", FIRST, "", SECOND)
    with Store(place, trust="own") as s:
        s["old"] = Thing()
    retire_key(own_key, id_of(FIRST))
    assert own_key.read_text() == f"# newest first\n{FIRST} retired\n\n{SECOND}\n"
    with Store(place, trust="own") as s:
        assert type(s["old"]) is Thing
        s["new"] = Thing()
        assert s.record("new").sealed_by == id_of(SECOND).hex()
    assert repr(read_key_file(own_key)[0]) == f"<Key {id_of(FIRST).hex()} retired>"


def test_last_key_that_seals_cannot_be_retired(key_file: KeyFile, own_key: Path) -> None:
    key_file(own_key, f"{FIRST} retired", SECOND)
    with pytest.raises(ValueError, match=rf"{id_of(SECOND).hex()} is the last key of .* make a new one first"):
        retire_key(own_key, id_of(SECOND))
    assert own_key.read_text() == f"{FIRST} retired\n{SECOND}\n"


def test_unknown_key_cannot_be_retired(key_file: KeyFile, own_key: Path) -> None:
    key_file(own_key, FIRST)
    with pytest.raises(LookupError, match=f"has no key {id_of(SECOND).hex()}"):
        retire_key(own_key, id_of(SECOND))
    assert own_key.read_text() == f"{FIRST}\n"


def test_key_cannot_be_retired_in_a_file_that_is_not_there(own_key: Path) -> None:
    with pytest.raises(StorageError, match="cannot be read"):
        retire_key(own_key, id_of(FIRST))
    assert not own_key.parent.exists()


@pytest.mark.parametrize("word", ["Retired", "retired yes", "old"])
def test_other_word_behind_a_key(key_file: KeyFile, own_key: Path, word: str) -> None:
    key_file(own_key, f"{FIRST} {word}")
    with pytest.raises(ValueError, match="line 1: a key is"):
        read_key_file(own_key)


def test_all_keys_retired(key_file: KeyFile, place: str, own_key: Path) -> None:
    key_file(own_key, FIRST)
    with Store(place) as s:
        s["old"] = Thing()
        key_file(own_key, f"{FIRST} retired")
        s["plain"] = 1
        assert s.record("plain").sealed_by is None
        with pytest.raises(Untrusted) as caught:
            s["new"] = Thing()
        assert f"every key of {own_key} is retired: make a new one, `store key new`" in str(caught.value)
        assert type(s["old"]) is Thing
        new = add_key(own_key)
        s["new"] = Thing()
        assert s.record("new").sealed_by == new.id.hex()


ROTATE = """
import sys
from pathlib import Path
from store.trust.keys.changing import add_key
print(add_key(Path(sys.argv[1])).id.hex())
"""


@pytest.mark.slow
def test_program_that_runs_seals_with_the_key_that_another_process_added(own_key: Path) -> None:
    ring = Keyring()
    old = sealing_id(ring)
    run = subprocess.run(
        [sys.executable, "-c", ROTATE, own_key], stdout=subprocess.PIPE, text=True, timeout=60, check=True
    )
    new = bytes.fromhex(run.stdout)
    assert sealing_id(ring) == new != old
    assert old is not None and ring.find(old) is not None


@pytest.mark.parametrize("what", ["gone", "no key", "open to others"])
def test_program_that_runs_keeps_its_keys_where_the_file_gives_none(
    key_file: KeyFile, place: str, own_key: Path, what: str
) -> None:
    key_file(own_key, FIRST)
    with Store(place, trust="own") as s:
        s["x"] = Thing()
        if what == "gone":
            own_key.unlink()
        elif what == "no key":
            own_key.write_text("half a ke")
        else:
            own_key.chmod(0o644)
        assert type(s["x"]) is Thing
        s["y"] = Thing()
        assert s.record("y").sealed_by == id_of(FIRST).hex()
        assert s.opened.values.sealer.keyring.find(id_of(SECOND)) is None
        assert type(s["y"]) is Thing
    key_file(own_key, FIRST)  # for the check after the test


def test_adding_keeps_the_key_that_a_first_writer_makes_meanwhile(
    own_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first writer takes no lock: what it links while another adds must not be replaced."""

    @contextmanager
    def late(path: str, timeout: float) -> Iterator[None]:
        with locked(path, timeout):
            create_key_file(own_key)
            yield

    monkeypatch.setattr(key_files, "locked", late)
    new = add_key(own_key)
    keys = read_key_file(own_key)
    assert len(keys) == 2 and keys[0].id == new.id


def test_threads_that_add_at_once_lose_no_key(own_key: Path) -> None:
    made: list[bytes] = []
    threads = [threading.Thread(target=lambda: made.append(add_key(own_key).id)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {key.id for key in read_key_file(own_key)} == set(made)
    assert len(made) == 8
    assert sorted(os.listdir(own_key.parent)) == ["keys", "keys.lock"]


def test_key_file_that_another_process_is_changing(
    key_file: KeyFile, own_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_file(own_key, FIRST)
    monkeypatch.setattr(key_files, "LOCK_SECONDS", 0)
    lock, hold = WriterLock(f"{own_key}.lock"), Hold()
    lock.acquire(hold, lambda: None, 0)
    try:
        with pytest.raises(StorageError, match="is being changed by another process: try again"):
            add_key(own_key)
    finally:
        lock.close()
    assert own_key.read_text() == f"{FIRST}\n"


def test_file_that_was_named_keeps_its_rights_and_its_link(key_file: KeyFile, tmp_path: Path) -> None:
    file = key_file(tmp_path / "secret", FIRST)
    file.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(file)
    new = add_key(link)
    retire_key(link, id_of(FIRST))
    assert link.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [(key.id, key.retired) for key in read_key_file(file)] == [(new.id, False), (id_of(FIRST), True)]


def test_comment_with_a_comma(key_file: KeyFile, own_key: Path) -> None:
    key_file(own_key, "# made by hand, on a Monday", FIRST)
    assert [key.id for key in read_key_file(own_key)] == [id_of(FIRST)]
