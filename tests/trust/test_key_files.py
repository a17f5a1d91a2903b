"""Key files: how one is made, which are not used, and what is done where there can be none."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import stat
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from away import is_absent

import store
from store import Store
from store.aio import AsyncStore
from store.errors import StorageError, Untrusted
from store.messages import stream as messages
from store.sessions import Sessions
from store.settings import Settings
from store.trust.keys import changing as key_files
from store.trust.keys import ring as keys
from store.trust.keys.changing import create_key_file
from store.trust.keys.file import read_key_file
from store.trust.keys.key import Key
from store.trust.keys.ring import default_key_file

GIVEN, NAMED, INLINE, OWN = ((f"{n:02x}" * 32) for n in (0xA1, 0xB2, 0xC3, 0xD4))
FOREIGN_KEY = "ignore:.*sealed with a key"
KeyFile = Callable[..., Path]
ShowsNoSecret = Callable[[BaseException, str], None]


async def _open_async(place: str, key: Any) -> None:
    async with AsyncStore(place, key=key):
        pass


@dataclass
class Prefs:
    theme: str = "dark"


ENTRIES: dict[str, Callable[[str, Any], object]] = {
    "Store": lambda place, key: Store(place, key=key),
    "Store, read only": lambda place, key: Store(place, mode="r", key=key),
    "Sessions": lambda place, key: Sessions(place, key=key),
    "Settings": lambda place, key: Settings(Prefs, place, key=key),
    "AsyncStore": lambda place, key: asyncio.run(_open_async(place, key)),
    "send": lambda place, key: messages.send(io.BytesIO(), 1, key=key),
    "receive": lambda place, key: messages.receive(io.BytesIO(), key=key),
    "recover": lambda place, key: store.recover(f"{place}.gone", place, key=key),
    "list": lambda place, key: Store(place, key=[None, key, "a longer one, by far"]),
}


class Thing:
    """What takes more than plain data to read."""


# -- making one


def test_reader_makes_no_key(place: str, own_key: Path) -> None:
    Store(place).close()
    with Store(place) as s:
        assert dict(s) == {}
        assert "x" not in s
    with Store(place, mode="r") as s:
        assert s.get("x") is None
    assert not own_key.exists()
    assert not own_key.parent.exists()


def test_writer_makes_a_key_that_only_the_user_can_read(path: Path, own_key: Path) -> None:
    old_umask = os.umask(0)
    try:
        with Store(path) as s:
            s["x"] = Thing()
    finally:
        os.umask(old_umask)
    assert stat.S_IMODE(own_key.stat().st_mode) == 0o600
    assert stat.S_IMODE(own_key.parent.stat().st_mode) == 0o700
    assert os.listdir(own_key.parent) == ["keys"]
    assert len(own_key.read_text().strip()) == 64
    assert own_key.read_bytes().strip() not in path.read_bytes()
    assert sorted(os.listdir(path.parent)) == ["app.db", "app.db.changes", "app.db.lock"]


def test_key_file_that_exists_is_never_replaced(key_file: KeyFile, own_key: Path) -> None:
    key_file(own_key, OWN)
    create_key_file(own_key)
    assert own_key.read_text() == OWN + "\n"
    assert os.listdir(own_key.parent) == ["keys"]


def test_failed_creation_leaves_nothing(own_key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(key_files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        create_key_file(own_key)
    assert os.listdir(own_key.parent) == []


TAKE_PART = """
import sys
from store.trust.keys.ring import Keyring
ring = Keyring()
print("ready", flush=True)
sys.stdin.readline()
print(ring.sealing_key().id.hex(), flush=True)
"""


@pytest.mark.heavy
def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    for turn in range(3):
        environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path / str(turn))}
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", TAKE_PART],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
            )
            for _ in range(8)
        ]  # fmt: skip
        try:
            for process in processes:
                assert process.stdout is not None and process.stdout.readline() == "ready\n"
            for process in processes:
                assert process.stdin is not None
                process.stdin.write("\n")
                process.stdin.flush()
            ids = [process.communicate(timeout=60)[0].strip() for process in processes]
        finally:
            for process in processes:
                process.kill()
                process.communicate()
        folder = tmp_path / str(turn) / keys.APP_NAME
        assert os.listdir(folder) == ["keys"]
        (key,) = read_key_file(folder / "keys")
        assert ids == [key.id.hex()] * 8


# -- bad ones


@pytest.mark.parametrize(
    "value, message",
    [
        ("", "^STORE_KEY holds no key: `openssl rand"),
        ("  \n", "^STORE_KEY holds no key"),
        ("fifteen letters", "^STORE_KEY: a key has at least 16 bytes, and this one has 15, so it can be guessed: "),
        ("a" * 16, "^STORE_KEY: this key is a run, a sequence or a repetition of few letters, so it can be guessed: "),
        (f"{INLINE},{NAMED[:-1]}", "^STORE_KEY, line 2:"),
        (f"{NAMED} retired, {INLINE[:-1]}g", "^STORE_KEY, line 2: a key is 64 hexadecimal digits"),
    ],
)
def test_bad_key_in_the_environment(
    shows_no_secret: ShowsNoSecret, path: Path, monkeypatch: pytest.MonkeyPatch, value: str, message: str
) -> None:
    monkeypatch.setenv("STORE_KEY", value)
    with pytest.raises(ValueError, match=message) as caught:
        Store(path)
    for remedy in ("openssl rand -hex 32", "store key new"):
        assert remedy in str(caught.value)
    shows_no_secret(caught.value, value)
    assert not path.exists()


@pytest.mark.parametrize(
    "text", ["schlüssel" * 8, INLINE, INLINE[:-1] + "-sixteen", " x, or, why not y ", "/run/secrets/key", "retired, for good"]
)
def test_text_is_the_same_key_in_the_environment_and_in_the_program(
    place: str, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    with Store[Any](place, key=text) as s:
        s["given"] = {1}
    monkeypatch.setenv("STORE_KEY", text)
    with Store[Any](place, trust="own") as s:
        assert s["given"] == {1}
        s["found"] = {2}
    with Store[Any](place, key=text, trust="own") as s:
        assert s["found"] == {2}


def test_digits_that_were_taken_as_text_once_verify_what_they_have_sealed(place: str) -> None:
    digits = RANDOM["digits"] * 2
    with Store[Any](place, key=digits.encode()) as s:
        s["a"] = {1}
    with Store[Any](place, key=digits, trust="own") as s:
        assert s["a"] == {1}
        assert s.rekey().resealed == 1
    with Store[Any](place, key=bytes.fromhex(digits), trust="own") as s:
        assert s["a"] == {1}


@pytest.mark.parametrize("short", ["x", "fifteen letters", ["fifteen letters", "a" * 40], ""])
def test_short_key_of_the_program_is_refused(shows_no_secret: ShowsNoSecret, place: str, short: Any) -> None:
    with pytest.raises(ValueError, match=r"^(key=|a key)") as caught:
        Store(place, key=short)
    assert "openssl rand -hex 32" in str(caught.value)
    assert "fifteen letters" not in str(caught.value)
    assert is_absent(place)


GUESSED = ["a" * 16, "password12345678", "changemechangeme", "secret" * 8, "k" * 32, "0" * 40, "\n" * 20 + "x"]
RANDOM = {
    "digits": "8d0f3a6be5c94721b07f6cd2e1893f54", "short digits": "8d0f3a6be5c94721", "bytes": bytes(range(0, 48, 3)),
    "32 bytes": bytes(32), "base64": "mXo4vD0t-qL2cR7_ypZb1w", "words": "correct horse battery",
}  # fmt: skip


@pytest.mark.parametrize("guessed", GUESSED)
def test_key_of_few_different_steps_is_refused(shows_no_secret: ShowsNoSecret, place: str, guessed: Any) -> None:
    with pytest.raises(ValueError, match=r"^key=: this key is a run, a sequence or a repetition") as caught:
        Store(place, key=[guessed, "the old one, long enough"])
    shows_no_secret(caught.value, repr(guessed)[1:-1])
    assert is_absent(place)


@pytest.mark.parametrize("key", RANDOM.values(), ids=RANDOM)
def test_key_that_a_generator_made_is_taken(place: str, key: Any) -> None:
    with Store[Any](place, key=key) as s:
        s["a"] = {1}
    with Store[Any](place, key=key, trust="own") as s:
        assert s["a"] == {1}


@pytest.mark.parametrize("weak", ["x", "fifteen letters", "password12345678"])
@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_point_refuses_a_weak_key(place: str, entry: str, weak: Any) -> None:
    with pytest.raises(ValueError, match=r"^key=: .* so it can be guessed: .*is read with key=\[new, old\]"):
        ENTRIES[entry](place, weak)
    assert is_absent(place)


WEAK_BYTES = [b"x", b"fifteen letters", b"password12345678", bytes(16), bytes(31)]
STRETCHED = "ignore:.*so it can be guessed, even though it is stretched"


@pytest.mark.parametrize("weak", WEAK_BYTES)
@pytest.mark.slow
def test_weak_bytes_are_stretched_and_told(shows_no_secret: ShowsNoSecret, place: str, weak: bytes) -> None:
    with pytest.warns(UserWarning, match="^key=: .* so it can be guessed, even though it is stretched") as warned:
        s = Store[Any](place, key=weak)
    with s:
        s["a"] = {1}
        (sealer,) = s.opened.engine.sealers()
    assert [str(Path(warning.filename)) for warning in warned] == [__file__]
    if len(weak) > 1:
        shows_no_secret(warned[0].message, weak.decode())
    assert sealer != Key(weak).id  # nobody finds it by trying keys as fast as a hash is made
    with Store[Any](place, key=["a longer one, by far", weak], trust="own") as s:  # an older one is not told of
        assert s["a"] == {1}


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_point_tells_of_weak_bytes(place: str, entry: str) -> None:
    with warnings.catch_warnings(record=True) as told, suppress(StorageError, EOFError):  # there is nothing to read
        warnings.simplefilter("always")
        ENTRIES[entry](place, b"short")
    assert any("stretched" in str(one.message) for one in told if one.category is UserWarning)


@pytest.mark.filterwarnings(STRETCHED)
def test_what_weak_bytes_have_sealed_unstretched_is_read(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("store.trust.keys.text._weakness_of", lambda _: "")  # as a release before wrote it
        with Store[Any](place, key=b"short") as s:
            s["a"] = {1}
    with Store[Any](place, key=b"short", trust="own") as s:
        assert s["a"] == {1}
        assert s.rekey().resealed == 1
    with Store[Any](place, key=b"short", trust="own") as s:
        assert s["a"] == {1}


COMMANDS = [("x", ["set", "app.db", "a", "1"]), ("x", ["key", "show"]), ("password12345678", ["sessions", "count", "app.db"])]


@pytest.mark.parametrize("weak, command", COMMANDS)
def test_command_line_refuses_a_weak_key_of_the_environment(
    tmp_path: Path, weak: str, command: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "store", *command],
        env={**os.environ, "STORE_KEY": weak}, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "STORE_KEY: " in done.stderr and "so it can be guessed" in done.stderr
    assert "Traceback" not in done.stderr
    assert weak == "x" or weak not in done.stderr
    assert not (tmp_path / "app.db").exists()


@pytest.mark.parametrize("weak", ["short", "password12345678"])
@pytest.mark.parametrize("given", ["key=", "STORE_KEY"])
def test_what_a_weak_key_has_sealed_is_read_behind_a_better_one(
    place: str, monkeypatch: pytest.MonkeyPatch, weak: str, given: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("store.trust.keys.text._weakness_of", lambda _: "")  # as a release before wrote it
        if given == "STORE_KEY":
            patched.setenv("STORE_KEY", weak)
        with Store[Any](place, key=None if given == "STORE_KEY" else weak) as s:
            s["a"] = {1}
    with Store[Any](place, key=["a longer one, by far", weak], trust="own") as s:
        assert s["a"] == {1}
        s.rekey()
    with Store[Any](place, key="a longer one, by far", trust="own") as s:
        assert s["a"] == {1}


def test_message_that_a_weak_key_has_sealed_is_received_behind_a_better_one(monkeypatch: pytest.MonkeyPatch) -> None:
    line = io.BytesIO()
    with monkeypatch.context() as patched:
        patched.setattr("store.trust.keys.text._weakness_of", lambda _: "")
        messages.send(line, {1}, key="short")
    line.seek(0)
    assert messages.receive(line, key=["a longer one, by far", "short"]) == {1}


def test_path_in_place_of_a_key_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = path.with_name("a file of keys")
    file.write_text(INLINE)
    monkeypatch.setenv("STORE_KEY", str(file))
    for given in (None, str(file)):
        with pytest.raises(ValueError, match="is the path of a file: name it in STORE_KEY_FILE"):
            Store(path, key=given)


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "holds no key"),
        ("# only a comment\n\n", "holds no key"),
        (f"# newest first\n{NAMED}\n\n{INLINE[:-2]}\n", ", line 4: a key is 64"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n", ", line 1: a key is 64"),
        ("\ufeff" + NAMED, ", line 1: a key is 64"),
    ],
)
@pytest.mark.parametrize("source", ["STORE_KEY_FILE", "key=", "own"])
def test_bad_key_file(
    shows_no_secret: ShowsNoSecret,
    key_file: KeyFile,
    place: str,
    tmp_path: Path,
    own_key: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    content: str,
    message: str,
) -> None:
    file = key_file(own_key if source == "own" else tmp_path / "secret", content.removesuffix("\n"))
    if source == "STORE_KEY_FILE":
        monkeypatch.setenv("STORE_KEY_FILE", str(file))
    with pytest.raises(ValueError, match=message) as caught, Store(place, key=file if source == "key=" else None) as s:
        s["x"] = 1
    assert str(caught.value).startswith(f"the key file {file}")
    for line in content.split():
        shows_no_secret(caught.value, line)
    assert file.read_text() == content.removesuffix("\n") + "\n"


@pytest.mark.parametrize("source", ["STORE_KEY_FILE", "key="])
@pytest.mark.parametrize("what", ["missing", "directory"])
def test_key_file_that_cannot_be_read(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, what: str
) -> None:
    file = tmp_path / "keys"
    if what == "directory":
        file.mkdir()
    if source == "STORE_KEY_FILE":
        monkeypatch.setenv("STORE_KEY_FILE", str(file))
    with pytest.raises(StorageError, match=r"the key file .* cannot be read: ") as caught:
        with Store(place, key=file if source == "key=" else None) as s:
            s["x"] = 1
    assert caught.value.path == str(file)
    assert not file.is_file()  # a name that leads nowhere is not an invitation to make a key there


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601])
@pytest.mark.filterwarnings(FOREIGN_KEY)
@pytest.mark.damaged
def test_own_key_file_that_others_can_open(path: Path, own_key: Path, mode: int) -> None:
    with Store(path) as s:
        s["old"] = Thing()
    own_key.chmod(mode)
    remedy = f"{own_key} is open to other users and was not used: chmod 600 {own_key}"
    cannot_be_used(path, remedy)
    assert stat.S_IMODE(own_key.stat().st_mode) == mode  # ours to name, not to change
    own_key.chmod(0o600)
    with Store(path) as s:
        assert type(s["old"]) is Thing


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.filterwarnings(FOREIGN_KEY)
@pytest.mark.damaged
def test_own_key_file_of_another_user(path: Path, own_key: Path) -> None:
    with Store(path) as s:
        s["old"] = Thing()
    os.chown(own_key, 65534, -1)
    remedy = f"chown it if it is yours; to use it as it is, set STORE_KEY_FILE={own_key}"
    cannot_be_used(path, f"{own_key} belongs to another user and was not used: {remedy}")


@pytest.mark.parametrize("what", ["link", "directory"])
@pytest.mark.filterwarnings(FOREIGN_KEY)
@pytest.mark.damaged
def test_own_key_file_that_is_no_file(path: Path, tmp_path: Path, own_key: Path, what: str) -> None:
    with Store(path) as s:
        s["old"] = Thing()
    own_key.rename(tmp_path / "elsewhere")
    if what == "link":
        own_key.symlink_to(tmp_path / "elsewhere")
    else:
        own_key.mkdir()
    cannot_be_used(path, f"{own_key} is not a regular file and was not used: remove it")


def cannot_be_used(path: Path, remedy: str) -> None:
    """Plain data is written and read with a checksum for a seal; whatever needs a key says why there is none."""
    with pytest.warns(UserWarning) as warned, Store(path) as s:
        s["plain"] = [1]
        assert s["plain"] == [1]
        assert s.record("plain").sealed_by is None
        with pytest.raises(Untrusted) as at_read:
            s["old"]
        with pytest.raises(Untrusted) as at_write:
            s["new"] = Thing()
        assert "new" not in s
    for said in (str(warned[0].message), str(at_read.value), str(at_write.value)):
        assert remedy in said
    for error in (at_read.value, at_write.value):
        assert error.missing == f"{__name__}.Thing"


def test_key_file_of_the_environment_is_used_as_it_is(
    key_file: KeyFile, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = key_file(tmp_path / "mounted secret", NAMED)
    file.chmod(0o644)
    monkeypatch.setenv("STORE_KEY_FILE", str(file))
    with Store(place) as s:
        s["x"] = Thing()
        assert s.record("x").sealed_by == Key(bytes.fromhex(NAMED)).id.hex()


# -- where none can be had


def no_home(path: Path, problem: str) -> None:
    with Store(path) as s:
        s["plain"] = {"a": [1, "b"]}
        assert s["plain"] == {"a": [1, "b"]}
        assert s.record("plain").sealed_by is None
        with pytest.raises(Untrusted) as caught:
            s["instance"] = Thing()
        assert "instance" not in s
    for part in ("record 'instance' cannot be sealed", problem, "STORE_KEY_FILE", "pass key=", "@store.allow"):
        assert part in str(caught.value)
    with Store(path, mode="r") as s:
        assert s["plain"] == {"a": [1, "b"]}
    with Store(path, allow=[Thing]) as s:  # what reads back for everybody may be written
        s["instance"] = Thing()
        assert type(s["instance"]) is Thing
    with Store(path, key=b"a key, long enough") as s:
        s["instance"] = Thing()


def test_home_that_does_not_exist(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = tmp_path / "nonexistent"
    monkeypatch.setenv("HOME", str(missing))
    monkeypatch.delenv("XDG_DATA_HOME")
    no_home(path, f"the home directory {missing} does not exist")
    assert not missing.exists()


def test_user_without_a_home(key_file: KeyFile, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs with a number for a user: `~` is left as it is."""
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.chdir(tmp_path)
    key_file(tmp_path / default_key_file(), GIVEN)  # found by the current directory, it is nobody's key
    no_home(path, "this user has no home directory")


def test_user_without_a_home_whose_data_folder_is_named(
    path: Path, own_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.delenv("HOME", raising=False)
    with Store(path) as s:
        s["x"] = Thing()
    assert own_key.exists()


def test_data_folder_that_cannot_be_made(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    no_home(path, "no key can be kept in ")


@pytest.mark.parametrize("how", ["put", "update", "modify", "edit", "setdefault"])
def test_every_write_that_could_not_be_read_back_raises(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "nowhere" / "x"))
    (tmp_path / "nowhere").write_text("")
    with Store(place) as s:
        s["list"] = [1]
        with pytest.raises(Untrusted, match="cannot be sealed"):
            if how == "put":
                s.put("list", Thing())
            elif how == "update":
                s.update({"a": 1, "list": Thing()})
            elif how == "modify":
                s.modify("list", lambda _: Thing())
            elif how == "setdefault":
                s.setdefault("new", Thing())
            else:
                with s.edit("list") as value:
                    value.append(Thing())
        assert dict(s) == {"list": [1]}


@pytest.mark.parametrize("number", [errno.EACCES, errno.ELOOP])
def test_folder_above_that_cannot_be_looked_at_ends_syncing_and_the_key_is_made(tmp_path, monkeypatch, number):
    file = tmp_path / "new" / "keys"
    look = os.stat

    def fails(path, *args, **kwargs):
        if path == tmp_path.parent:
            raise OSError(number, os.strerror(number), str(path))
        return look(path, *args, **kwargs)

    monkeypatch.setattr(os, "stat", fails)
    create_key_file(file)
    monkeypatch.undo()
    assert file.exists()
