"""Where keys come from, in which order, how one is made, and that no secret shows anywhere."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from changed import change
from platformdirs import user_data_path

from store import Store
from store.errors import StoreError, Tampered, Untrusted
from store.trust.keys.key import Key
from store.trust.keys.ring import APP_NAME, Keyring, default_key_file

SECRETS = [(f"{n:02x}" * 32) for n in (0xA1, 0xB2, 0xC3, 0xD4)]
GIVEN, NAMED, INLINE, OWN = SECRETS
FOREIGN_KEY = "ignore:.*sealed with a key"

KeyFile = Callable[..., Path]
ShowsNoSecret = Callable[[BaseException, str], None]


class Thing:
    """What takes more than plain data to read."""


def id_of(secret: str) -> bytes:
    return Key(bytes.fromhex(secret)).id


# -- the order of the sources


@pytest.mark.parametrize("first", range(4))
def test_order_of_the_sources(
    key_file: KeyFile, first: int, tmp_path: Path, own_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_file(own_key, OWN)
    if first <= 2:
        monkeypatch.setenv("STORE_KEY", INLINE)
    if first <= 1:
        monkeypatch.setenv("STORE_KEY_FILE", str(key_file(tmp_path / "named", NAMED)))
    given = bytes.fromhex(GIVEN) if first == 0 else None
    ring = Keyring(given)
    sealing = ring.sealing_key()
    assert sealing is not None
    assert sealing.id == id_of(SECRETS[first])
    others = [id_of(secret) for secret in SECRETS if secret != SECRETS[first]]
    assert [ring.find(other) for other in others] == [None] * 3
    assert ring.where() == ["the key= of the store", str(tmp_path / "named"), "STORE_KEY", str(own_key)][first]
    assert repr(ring) == f"<Keyring from {ring.where()}>"


def test_sources_are_read_when_the_store_is_opened(own_key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_KEY", INLINE)
    ring = Keyring()
    monkeypatch.setenv("STORE_KEY", NAMED)
    sealing = ring.sealing_key()
    assert sealing is not None and sealing.id == id_of(INLINE)


def test_empty_name_of_a_key_file_counts_as_none(own_key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_KEY_FILE", "")
    assert Keyring().where() == str(own_key)


@pytest.mark.parametrize(
    "given",
    [
        b"any secret of 16 bytes",
        "any secret of 16 bytes",
        ["any secret of 16 bytes", b"old"],
        (b"any secret of 16 bytes",),
        Path("given"),
        [Path("given"), "older"],
    ],
    ids=repr,
)
def test_key_given_by_the_program(
    key_file: KeyFile, given: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    key_file(tmp_path / "given", GIVEN)
    in_file = isinstance(given[0] if isinstance(given, list) else given, Path)
    sealing = Keyring(given).sealing_key()
    assert sealing is not None
    assert sealing.id == (id_of(GIVEN) if in_file else Key(b"any secret of 16 bytes").id)


def test_own_key_file_is_where_the_user_keeps_data(own_key: Path) -> None:
    assert default_key_file() == str(own_key)


@pytest.mark.parametrize("data", [None, "", "data", "/data", "/data/", "~/data"])
@pytest.mark.parametrize("home", [None, "", "home", "/home/ada", "/home/ada/", "/"])
def test_own_key_file_is_where_platformdirs_says(monkeypatch: pytest.MonkeyPatch, data: str | None, home: str | None) -> None:
    for name, folder in (("XDG_DATA_HOME", data), ("HOME", home)):
        monkeypatch.delenv(name, raising=False)
        if folder is not None:
            monkeypatch.setenv(name, folder)
    assert Path(default_key_file()) == user_data_path(APP_NAME, appauthor=False) / "keys"


# -- several keys


@pytest.mark.filterwarnings(FOREIGN_KEY)
def test_newest_key_seals_and_all_verify(key_file: KeyFile, place: str, own_key: Path) -> None:
    key_file(own_key, INLINE)
    with Store(place, trust="own") as s:
        s["old"] = Thing()
    key_file(own_key, "# rotated", GIVEN, "", INLINE)
    with Store(place, trust="own") as s:
        assert type(s["old"]) is Thing
        s["new"] = Thing()
        with s.edit("old") as value:
            value.changed = True
        assert s.record("new").sealed_by == s.record("old").sealed_by == id_of(GIVEN).hex()
    key_file(own_key, GIVEN)
    with Store(place, trust="own") as s:
        assert s["old"].changed


@pytest.mark.filterwarnings(FOREIGN_KEY)
@pytest.mark.damaged
def test_key_that_was_taken_out_no_longer_verifies(place: str) -> None:
    with Store(place, key="the old key, long enough") as s:
        s["x"] = 1
    with Store(place, key="the new key, long enough", trust="own") as s, pytest.raises(Untrusted, match='trust="own"'):
        s["x"]


@pytest.mark.parametrize("source", ["own", "STORE_KEY_FILE"])
@pytest.mark.filterwarnings(FOREIGN_KEY)
@pytest.mark.damaged
def test_key_that_another_process_added_is_noticed(
    key_file: KeyFile, place: str, tmp_path: Path, own_key: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    file = own_key
    if source == "STORE_KEY_FILE":
        file = tmp_path / "named"
        monkeypatch.setenv("STORE_KEY_FILE", str(file))
    key_file(file, INLINE)
    with Store(place, trust="own") as s:
        s["mine"] = Thing()
        with Store(place, key=bytes.fromhex(GIVEN), trust="own") as rotated:
            rotated["theirs"] = Thing()
        with pytest.raises(Untrusted):
            s["theirs"]
        key_file(file, GIVEN, INLINE)
        assert type(s["theirs"]) is Thing
        assert type(s["mine"]) is Thing
        s["next"] = 1
        assert s.record("next").sealed_by == id_of(GIVEN).hex()


@pytest.mark.slow
def test_key_made_by_the_first_writer_is_noticed_by_a_reader(place: str, own_key: Path) -> None:
    with Store(place, trust="own") as reader:
        assert reader.get("x") is None
        program = "import sys, store; store.Store(sys.argv[1])['x'] = 1"
        subprocess.run([sys.executable, "-c", program, place], timeout=60, check=True)
        assert reader["x"] == 1


@pytest.mark.filterwarnings(FOREIGN_KEY)
def test_other_purposes_and_other_secrets_give_other_keys() -> None:
    key = Key(b"secret")
    assert len({key.derive(b"a"), key.derive(b"b"), Key(b"secret2").derive(b"a"), key.id}) == 4
    assert Key(b"secret").derive(b"a") == key.derive(b"a")
    assert len(key.derive(b"a")) == 32


# -- and nothing shows


@pytest.mark.filterwarnings(FOREIGN_KEY)
@pytest.mark.damaged
def test_key_shows_nowhere(
    shows_no_secret: ShowsNoSecret, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = bytes.fromhex(GIVEN)
    errors: list[StoreError] = []
    with Store(path, key=secret) as s:
        s["x"] = Thing()
        s["y"] = 1
        key = s.opened.values.sealer.keyring.sealing_key()
        assert key is not None
        texts = [repr(s), repr(key), repr(s.opened.values.sealer.keyring), repr(s.record("x")), repr(s.stats())]
        again = pickle.dumps(s)
        for hidden in (key, s.opened.values.sealer.keyring):
            for protocol in range(6):
                with pytest.raises(TypeError, match="keys are never pickled"):
                    pickle.dumps(hidden, protocol)
    change(str(path), "UPDATE records SET body = x'00' WHERE name = 'y'")
    for ring in (secret, b"another key, longer"):
        with Store(path, key=ring) as s:
            for name in ("x", "y"):
                try:
                    s[name]
                except StoreError as exc:
                    errors.append(exc)
    assert [type(error) for error in errors][:1] == [Tampered]
    assert len(errors) == 3
    for error in errors:
        shows_no_secret(error, GIVEN)
    derived = [secret, key._secret, key.derive(b"store.seal.v1")]
    for bytes_ in derived:
        assert bytes_ not in again
        assert bytes_ not in path.read_bytes()
        for text in texts:
            assert bytes_.hex() not in text and repr(bytes_) not in text
    with pickle.loads(again) as reopened:
        assert reopened.opened.values.sealer.keyring._given is None
