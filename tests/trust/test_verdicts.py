"""Whose a record is, and what is done with it: the table of the three trust levels and the three verdicts."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from strangers import FOREIGN_KEY, MINE, THEIRS, Marker, Point

from store import Store
from store.codecs import pickle
from store.errors import Corrupt, StoreError, Tampered, Untrusted

PLAIN = {"a": [1, 2.5, None, b"x", ("t",), {"s"}]}

pytestmark = pytest.mark.damaged


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "code has run"


def write(place: str, key: bytes, marker: Path) -> None:
    with Store(place, key=key) as s:
        s["plain"] = PLAIN
        s["instance"] = Point(3)
        s["code"] = Marker(marker)


def outcome(s: Store[Any], name: str) -> Any:
    try:
        return s[name]
    except StoreError as exc:
        return type(exc)


OWN, MISMATCH, FOREIGN = "a key we hold", "a key we hold, altered", "a key we don't hold"
FULL, RESTRICTED, NOTHING, ALARM = "full", "restricted", Untrusted, Tampered

TABLE = [
    (OWN, "own", FULL), (OWN, "data", FULL), (OWN, "all", FULL),
    (MISMATCH, "own", ALARM), (MISMATCH, "data", ALARM), (MISMATCH, "all", ALARM),
    (FOREIGN, "own", NOTHING), (FOREIGN, "data", RESTRICTED), (FOREIGN, "all", FULL),
]  # fmt: skip


@pytest.mark.parametrize("sealed, trust, decoded", TABLE)
@pytest.mark.filterwarnings(FOREIGN_KEY)
def test_verdict_and_trust_level(
    place: str, marker: Path, change: Callable[..., None], sealed: str, trust: str, decoded: Any
) -> None:
    write(place, THEIRS if sealed is FOREIGN else MINE, marker)
    if sealed is MISMATCH:
        change("UPDATE records SET seal = CAST(substr(seal, 1, 8) || zeroblob(16) AS BLOB)")
    with Store(place, key=MINE, trust=trust) as s:
        found = {name: outcome(s, name) for name in ("plain", "instance", "code")}
        assert list(s) == ["plain", "instance", "code"]
        assert s.record("code").size > 0
    if decoded is FULL:
        assert found == {"plain": PLAIN, "instance": Point(3), "code": None}
    elif decoded is RESTRICTED:
        assert found == {"plain": PLAIN, "instance": Untrusted, "code": Untrusted}
    else:
        assert found == dict.fromkeys(found, decoded)
    assert marker.exists() == (decoded is FULL)


WAYS_IN = {
    "get": lambda s: s["code"],
    ".get": lambda s: s.get("code"),
    "get_many": lambda s: s.get_many(["code"]),
    "pop": lambda s: s.pop("code"),
    "popitem": lambda s: s.popitem(),
    "setdefault": lambda s: s.setdefault("code", 1),
    "values": lambda s: list(s.values()),
    "items": lambda s: list(s.items()),
    "reversed items": lambda s: list(reversed(s.items())),
    "in values": lambda s: 5 in s.values(),
    "in items": lambda s: ("code", 5) in s.items(),
    "==": lambda s: s == {"code": 5},
    "|": lambda s: s | {},
    "dict": dict,
    "edit": lambda s: s.edit("code").__enter__(),
    "modify": lambda s: s.modify("code", lambda value: value),
}


@pytest.mark.parametrize("way", WAYS_IN)
@pytest.mark.filterwarnings(FOREIGN_KEY)
def test_no_way_in_runs_a_foreign_record(place: str, marker: Path, way: str) -> None:
    with Store(place, key=THEIRS) as s:
        s["code"] = Marker(marker)
    for writeback in (False, True):
        with Store(place, key=MINE, writeback=writeback) as s:
            with pytest.raises(Untrusted) as caught:
                WAYS_IN[way](s)
            assert caught.value.missing == "posix.mkdir"
            assert "code" in s
    assert not marker.exists()
    with Store(place, key=MINE, trust="all") as s:
        WAYS_IN["get"](s)
    assert marker.exists()


@pytest.mark.filterwarnings(FOREIGN_KEY)
def test_restricted_never_falls_back_to_full(place: str, marker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(place, THEIRS, marker)

    def full(*_: Any) -> Any:
        pytest.fail("the full decoder was asked")

    monkeypatch.setattr(pickle.PickleCodec, "decode", full)
    for allow in ((), (Point,)):
        with Store(place, key=MINE, allow=allow) as s:
            for name in ("plain", "instance", "code"):
                outcome(s, name)


def test_touch_of_a_foreign_record(place: str, marker: Path) -> None:
    write(place, THEIRS, marker)
    for trust in ("data", "all"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            s = Store[Any](place, key=MINE, trust=trust)
        with s:
            before = s.record("plain")
            with pytest.raises(Untrusted, match=r"record 'plain' was not sealed.*assign the value again") as caught:
                s.touch("plain", 10.0)
            assert caught.value.name == "plain"
            assert s.record("plain") == before
    with Store(place, key=THEIRS, trust="own") as s:
        assert s["plain"] == PLAIN


@pytest.mark.filterwarnings(FOREIGN_KEY)
def test_assigned_again_the_record_is_mine(place: str, marker: Path) -> None:
    write(place, THEIRS, marker)
    with Store(place, key=MINE) as s:
        s["plain"] = s["plain"]
        theirs, mine = s.record("instance").sealed_by, s.record("plain").sealed_by
        assert theirs != mine
    with Store(place, key=MINE, trust="own") as s:
        assert s["plain"] == PLAIN
        assert outcome(s, "instance") is Untrusted


def test_warning_at_open_of_a_store_with_foreign_records(place: str, marker: Path) -> None:
    write(place, THEIRS, marker)
    with Store(place, key=THEIRS) as s:
        theirs = s.record("plain").sealed_by
    for trust, expected in (("own", 1), ("data", 1), ("all", 0)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with Store(place, key=MINE, trust=trust) as s, s.within("other") as other:
                list(other.items())
                outcome(s, "plain")
        assert len(caught) == expected
        for warning in caught:
            assert warning.filename == __file__  # the line that opened it
            assert theirs is not None and theirs in str(warning.message)
            effect = "@store.allow" if trust == "data" else "so they are refused"
            for part in (str(place), "STORE_KEY_FILE", effect):
                assert part in str(warning.message)


def test_no_warning_at_open_of_a_store_of_my_own(place: str, marker: Path) -> None:
    write(place, MINE, marker)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Store(place, key=[b"a newer key of mine", MINE]).close()


READ_AN_INSTANCE = """
import sys, warnings
warnings.simplefilter("error")
from store import Store
from collections import UserDict

if __name__ == "__main__":
    with Store(sys.argv[1]) as s:
        if sys.argv[2] == "write":
            s["instance"] = UserDict(a=1)
        print(type(s["instance"]).__name__, dict(s["instance"]), s.record("instance").sealed_by)
"""


@pytest.mark.slow
def test_own_instance_reads_back_in_another_process_with_no_configuration(place: str, own_key: Path) -> None:
    told = []
    for what in ("write", "read"):
        run = subprocess.run(
            [sys.executable, "-c", READ_AN_INSTANCE, place, what],
            stdout=subprocess.PIPE, text=True, timeout=60, check=True,
        )  # fmt: skip
        told.append(run.stdout)
    assert told[0] == told[1]
    assert told[0].startswith("UserDict {'a': 1} ")
    assert own_key.exists()


UNDECODABLE = {
    "empty": b"",
    "cut": b"\x80\x05]",
    "persistent id": b"Pid\n.",
    "too long": b"\x8e" + b"\xff" * 8,
    "more than memory": b"\x8e" + (2**46).to_bytes(8, "little"),
}


@pytest.mark.filterwarnings(FOREIGN_KEY)
def test_undecodable_foreign_record_is_corrupt_and_stays(place: str) -> None:
    with Store(place, key=THEIRS) as s:
        s["x"] = 1
        row = s.opened.find("x")
        assert row is not None
        for name, body in UNDECODABLE.items():
            s.opened.put(s.opened.values.sealer.seal(row._replace(id=None, name=name, body=body)))
    with Store(place, key=MINE) as s:
        for name in UNDECODABLE:
            assert outcome(s, name) is Corrupt
        assert len(s) == 1 + len(UNDECODABLE)
