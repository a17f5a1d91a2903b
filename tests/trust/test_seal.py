"""What a seal covers: whatever is altered behind the store's back is told, and never decoded."""

from __future__ import annotations

import shutil
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.engines.sqlite import statements as sql
from store.errors import Corrupt, RecordError, Tampered
from store.rows.row import Row, Sealed
from store.trust import seal
from store.trust.keys.key import UNKEYED
from store.trust.keys.ring import Keyring
from store.trust.seal import Sealer, Verdict
from store.values.pipeline import Pipeline, choose

pytestmark = pytest.mark.damaged

MINE = b"the key of these tests"
THEIRS = b"the key of somebody else"
VALUE = {"amount": 10, "to": "Alice"}
FAR = 4_000_000_000.0

# column → SQL expression that alters it
COVERED = {
    "namespace": "'elsewhere'",
    "name": "'renamed'",
    "codec": "'json'",
    "protocol": "4",
    "expires": f"{FAR} + 1",
    "expires removed": "NULL",
    "spill": "'[]'",
    "spill empty": "''",
    "body": "CAST(x'8004' || substr(body, 3) AS BLOB)",
    "body longer": "CAST(body || x'00' AS BLOB)",
    "body shorter": "substr(body, 1, length(body) - 1)",
    "body empty": "x''",
    "seal": "CAST(substr(seal, 1, 8) || zeroblob(16) AS BLOB)",
    "seal zero": "zeroblob(24)",
}
NOT_COVERED = {
    "type": "'os.system'",
    "python": "'2.7'",
    "revision": "7",
    "created": "1.0",
    "modified": "2.0",
    "crc": "crc + 1",
}


def write(place: str, key: bytes = MINE) -> None:
    with Store(place, key=key) as s:
        s.put("payment", VALUE, ttl=FAR - s.opened.clock())
        s.opened.put(s.opened.values.pack("", "payment", VALUE, s.opened.clock(), FAR))


def find(s: Store[Any]) -> Any:
    """The one record that there is, wherever it was moved to."""
    (namespace,) = s.namespaces()
    with s.within(namespace) as inner:
        (name,) = inner
        return inner[name]


@pytest.mark.parametrize("what", COVERED)
def test_altered_field_of_an_own_record(place: str, change: Callable[..., None], what: str) -> None:
    write(place)
    change(f"UPDATE records SET {what.split()[0]} = {COVERED[what]}")
    for trust in ("own", "data", "all"):
        with Store(place, key=MINE, trust=trust) as s:
            with pytest.raises((Tampered, Corrupt), match="restore it from a backup") as caught:
                find(s)
            assert isinstance(caught.value, Corrupt if what == "seal zero" else Tampered)
            assert caught.value.name == ("renamed" if what == "name" else "payment")
            assert len(list(s.within(s.namespaces()[0]).records())) == 1  # the metadata still reads


@pytest.mark.parametrize("what", [what for what in COVERED if not what.startswith("seal")])
@pytest.mark.filterwarnings("ignore:.*sealed with a key")
def test_altered_field_of_a_foreign_record(place: str, change: Callable[..., None], what: str) -> None:
    """Without the key the checksum tells damage; it stops nobody who can compute one."""
    write(place, THEIRS)
    change(f"UPDATE records SET {what.split()[0]} = {COVERED[what]}")
    for trust in ("data", "all"):
        with Store(place, key=MINE, trust=trust) as s, pytest.raises(Corrupt, match="do not match their checksum"):
            find(s)


@pytest.mark.parametrize("what", NOT_COVERED)
def test_altered_field_that_no_decoder_depends_on(place: str, change: Callable[..., None], what: str) -> None:
    write(place)
    change(f"UPDATE records SET {what} = {NOT_COVERED[what]}")
    with Store(place, key=MINE, trust="own") as s:
        assert s["payment"] == VALUE
    assert seal.__doc__ is not None
    assert ("the checksum itself" if what == "crc" else what) in seal.__doc__.partition("Not covered")[2]


@pytest.mark.parametrize("size", [0, 100, seal.SHORT - 1, seal.SHORT, 100_000])
@pytest.mark.parametrize("expires", [None, FAR])
@pytest.mark.parametrize("name", ["", "a", "\u00e4\U0001f600" * 50])
def test_seal_by_what_rows_share_is_that_of_the_whole_row(size: int, expires: float | None, name: str) -> None:
    sealer, body = Sealer(Keyring(MINE), bytes(16)), b"b" * size
    sealed = sealer.sealing("\u00fc", "pickle", 5)
    for key in (Keyring(MINE).sealing_key(), sealer.keyring.sealing_key()):
        assert key is not None
        row = Row(None, "\u00fc", name, "pickle", 5, None, None, body, None, b"", 0, 1, 1.0, 1.0, expires)
        whole = sealer.seal(row)
        assert sealed(key, name, expires, body) == (whole.seal, whole.crc)
        assert sealer.check(whole) is Verdict.OWN


def test_rows_of_more_namespaces_than_are_remembered() -> None:
    pipeline = Pipeline(Sealer(Keyring(MINE), bytes(16)), choose("pickle", None, "data", ()))
    for namespace in [*map(str, range(250)), "7"]:
        assert pipeline.unpack(pipeline.pack(namespace, "a", namespace, 1.0, None)) == namespace


def test_every_column_is_either_covered_or_said_not_to_be() -> None:
    assert {what.split()[0] for what in COVERED} | set(NOT_COVERED) | {"id"} == set(Row._fields)


def test_bodies_swapped_between_names(place: str, change: Callable[..., None]) -> None:
    with Store(place, key=MINE) as s:
        s["admin"], s["guest"] = {"may": "all"}, {"may": "some"}
    change("UPDATE records SET name = name || '.'")
    change("UPDATE records SET name = CASE name WHEN 'admin.' THEN 'guest' ELSE 'admin' END")
    with Store(place, key=MINE) as s:
        for name in ("admin", "guest"):
            with pytest.raises(Tampered, match=r"its checksum still fits|nor does its checksum"):
                s[name]


def test_row_moved_between_namespaces(place: str, change: Callable[..., None]) -> None:
    with Store(place, key=MINE, namespace="test") as s:
        s["user"] = 1
    change("UPDATE records SET namespace = 'live'")
    with Store(place, key=MINE, namespace="live") as s, pytest.raises(Tampered, match="in namespace 'live'"):
        s["user"]


def test_row_moved_between_stores(path: Path, tmp_path: Path, change: Callable[..., None]) -> None:
    other = tmp_path / "other.db"
    for file in (path, other):
        with Store(file, key=MINE) as s:
            s["balance"] = 100 if file == path else 1
    with closing(sqlite3.connect(path)) as conn:
        row = conn.execute(f"SELECT {sql._COLUMNS} FROM records").fetchone()
    columns = [column for column in Row._fields if column != "id"]
    change(
        f"UPDATE records SET {', '.join(f'{column} = ?' for column in columns)}",
        *(row[Row._fields.index(column)] for column in columns), file=other,
    )  # fmt: skip
    with Store(other, key=MINE) as s, pytest.raises(Tampered):
        s["balance"]
    with Store(path, key=MINE) as s:
        assert s["balance"] == 100


def test_copied_file_is_the_same_store(path: Path, tmp_path: Path) -> None:
    write(path)
    shutil.copy(path, tmp_path / "copy.db")
    with Store(tmp_path / "copy.db", key=MINE, trust="own") as s:
        assert s["payment"] == VALUE


@pytest.mark.parametrize(
    "key, trust", [(MINE, "own"), (MINE, "data"), (MINE, "all"), (THEIRS, "data"), (THEIRS, "all")]
)
@pytest.mark.parametrize("column", ["body", "seal"])
def test_every_flipped_bit(place: str, key: bytes, trust: str, column: str) -> None:
    """Of body and seal, as bit rot does it; a seal's bits are our own to check only with the key."""
    write(place)
    with Store(place, key=MINE) as s:
        row = s.opened.find("payment")
        assert row is not None
        sealer = Sealer(Keyring(key), s.opened.engine.id)
        pipeline = Pipeline(sealer, choose("pickle", None, trust, ()))
        whole: bytes = getattr(row, column)
        kept = []
        for bit in range(8 * len(whole)):
            flipped = bytearray(whole)
            flipped[bit // 8] ^= 1 << bit % 8
            try:
                pipeline.unpack(row._replace(**{column: bytes(flipped)}))
            except RecordError:
                continue
            kept.append(bit)
    if column == "body":
        assert kept == []
    elif key == THEIRS:
        assert kept != []  # who has no key cannot check the seal: the checksum, which still fits, is all there is
    else:
        # A flipped key id names a key that nobody has: a foreign record, whose bytes the checksum vouches for.
        assert all(bit < 64 for bit in kept)
        assert trust != "own" or kept == []


def flips(value: Any) -> Iterator[Any]:
    """The value as SQLite stores it, each of its bits flipped in turn, as far as a column can hold the result."""
    form = {int: "<q", float: "<d"}.get(type(value))
    whole = struct.pack(form, value) if form else value if isinstance(value, bytes) else value.encode()
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        if form:
            yield struct.unpack(form, flipped)[0]
        elif isinstance(value, bytes):
            yield bytes(flipped)
        else:  # what is no UTF-8 any more does not even come out of SQLite
            yield from [flipped.decode()] if flipped.decode(errors="ignore").encode() == flipped else []


FLIPPED = ["namespace", "name", "codec", "protocol", "spill", "seal", "expires", "body"]


@pytest.mark.parametrize("column", FLIPPED)
def test_every_flipped_bit_of_a_covered_column(column: str) -> None:
    """With the key: `Tampered`, but for a key id that is nobody's then, which makes the record a foreign one."""
    sealer = Sealer(Keyring(MINE), b"store")
    row = sealer.seal(Row(1, "ns", "name", "pickle", 5, None, None, b"\x80\x05N.", "[1]", b"", 0, 1, 0.0, 0.0, FAR))
    assert sealer.check(row) is Verdict.OWN
    tried = 0
    for number, value in enumerate(flips(getattr(row, column))):
        altered = row._replace(**{column: value})
        if column == "seal" and number < 64:
            assert sealer.check(altered) is Verdict.FOREIGN
        else:
            with pytest.raises(Tampered):
                sealer.check(altered)
        tried += 1
    assert tried >= 8


@pytest.mark.parametrize("size", [0, 1, seal.SHORT - 1, seal.SHORT, 3 * seal.SHORT])
@pytest.mark.parametrize("expires", [None, FAR, int(FAR)])
@pytest.mark.parametrize("spill", [None, "", "[1]"])
def test_seal_is_checked_as_it_is_made(size: int, expires: float | None, spill: str | None) -> None:
    """Alone and among others; without the key, the place, or with any other column it is not ours."""
    sealer = Sealer(Keyring(MINE), b"store")
    names = ("plain", "näme", "\0", "x" * 300)
    rows = [
        sealer.seal(
            Row(1, "ns", name, "pickle", 5, None, None, b"x" * size, spill, b"", 0, 1, 0.0, 0.0, expires)
        ).sealed()
        for name in names
    ]
    assert sealer.are_own(rows) and all(sealer.are_own([row]) for row in rows) and sealer.are_own([])
    assert not Sealer(Keyring(THEIRS), b"store").are_own(rows)
    assert not Sealer(Keyring(MINE), b"other").are_own(rows)
    for altered in (
        {"name": "other"},
        {"namespace": ""},
        {"protocol": 4},
        {"protocol": 5.0},
        {"body": b"y" * (size + 1)},
    ):
        assert not sealer.are_own([*rows[:2], rows[2]._replace(**altered), rows[3]])


@pytest.mark.parametrize("column", [*Sealed._fields[1:]])
@pytest.mark.parametrize("value", [None, 1.5, 7, "text", b"bytes", "half \ud800"])
def test_sealed_column_of_another_type_is_not_ours(column: str, value: Any) -> None:
    sealer = Sealer(Keyring(MINE), b"store")
    row = sealer.seal(
        Row(1, "ns", "name", "pickle", 5, None, None, b"body", "[1]", b"", 0, 1, 0.0, 0.0, FAR)
    ).sealed()
    assert sealer.are_own([row])
    assert not sealer.are_own([row._replace(**{column: value})])


def test_row_of_a_key_that_was_dropped(
    tmp_path: Path, key_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checked row leaves nothing behind by which another one of that key would pass."""
    old, new = "1" * 62 + "ab", "2" * 62 + "cd"
    monkeypatch.setenv("STORE_KEY_FILE", str(key_file(tmp_path / "keys", old)))
    ring = Keyring()
    sealer = Sealer(ring, b"store")
    row = sealer.seal(Row(1, "", "a", "pickle", 5, None, None, b"1", None, b"", 0, 1, 0.0, 0.0, None)).sealed()
    assert sealer.are_own([row])
    key_file(tmp_path / "keys", new, "# and the old one is gone")
    assert ring.find(b"another!") is None  # which reads the file again
    assert not sealer.are_own([row])


def test_flipped_columns_are_those_that_are_covered() -> None:
    assert set(FLIPPED) == {what.split()[0] for what in COVERED}


@pytest.mark.parametrize("columns", ["body", "name", "codec", "namespace", "body seal crc", "all"])
def test_columns_swapped_between_two_stores(
    path: Path, tmp_path: Path, change: Callable[..., None], columns: str
) -> None:
    """Of records that both are sound, by the same key; all columns of a row but its id are "all"."""
    files = {path: ("here", "mine", "pickle"), tmp_path / "other.db": ("there", "yours", "json")}
    rows = []
    for file, (namespace, name, codec) in files.items():
        with Store(file, key=MINE, namespace=namespace) as s:
            s.put(name, {"in": namespace}, codec=codec)
            rows.append(s.opened.find(name))
    names = [name for name in Row._fields if name != "id"] if columns == "all" else columns.split()
    for file, row in zip(files, reversed(rows), strict=True):
        assert row is not None
        change(
            f"UPDATE records SET {', '.join(f'{name} = ?' for name in names)}",
            *(getattr(row, name) for name in names), file=file,
        )  # fmt: skip
    for file in files:
        for trust in ("own", "data", "all"):
            with Store(file, key=MINE, trust=trust) as s, pytest.raises(Tampered):
                find(s)


def test_flipped_bit_of_the_checksum_of_a_foreign_record(place: str) -> None:
    write(place, THEIRS)
    with Store(place, key=THEIRS) as s:
        row = s.opened.find("payment")
        assert row is not None
        stranger = Sealer(Keyring(MINE), s.opened.engine.id)
        assert stranger.check(row) is Verdict.FOREIGN
        for bit in range(32):
            with pytest.raises(Corrupt, match="do not match their checksum"):
                stranger.check(row._replace(crc=row.crc ^ 1 << bit))


def test_unkeyed_seal_is_a_checksum_of_sixteen_bytes() -> None:
    ring = Keyring(MINE)
    ring._given = ring._keys = []
    sealer = Sealer(ring, b"store")
    draft = Row(None, "", "n", "pickle", 5, None, None, b"body", None, b"", 0, 1, 0.0, 0.0, None)
    row = sealer.seal(draft)
    assert row.seal.startswith(UNKEYED)
    assert sealer.check(row) is Verdict.FOREIGN
    for bit in range(64, 192):
        flipped = bytearray(row.seal)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Corrupt):
            sealer.check(row._replace(seal=bytes(flipped)))


def test_contexts_that_would_read_alike_are_told_apart() -> None:
    sealer = Sealer(Keyring(MINE), b"store")
    draft = Row(None, "a", "bc", "pickle", 5, None, None, b"de", None, b"", 0, 1, 0.0, 0.0, None)
    rows = [
        draft,
        draft._replace(namespace="ab", name="c"),
        draft._replace(namespace="", name="abc"),
        draft._replace(name="bcpickle", codec=""),
        draft._replace(codec="pickl", spill="e"),
        draft._replace(spill=""),
        draft._replace(spill="[1]"),
        draft._replace(spill="[2]"),
        draft._replace(expires=0.0),
        draft._replace(expires=-0.0),
        draft._replace(body=b"d", spill="e"),
        draft._replace(body=b""),
        draft._replace(protocol=0),
        draft._replace(protocol=-5),
    ]
    assert len({sealer.seal(row).seal for row in rows}) == len(rows)
    assert len({Sealer(Keyring(MINE), other).seal(draft).seal for other in (b"store", b"stor", b"")}) == 3


GOLDEN_SEAL = "daa0b8befc22c7c1ca06df197580b0a891d5a173190f74a1"  # of hashlib, struct and zlib alone
GOLDEN_CRC = 3049812766


def test_seal_on_disk_never_changes() -> None:
    """What a released version has written must verify for ever."""
    draft = Row(None, "ns", "имя", "pickle", 5, None, None, b"\x80\x05N.", None, b"", 0, 1, 0.0, 0.0, 12.5)
    row = Sealer(Keyring(MINE), bytes(range(16))).seal(draft)
    assert row.seal.hex() == GOLDEN_SEAL
    assert row.crc == GOLDEN_CRC
