"""Values that cannot be written, and records that cannot be read: what was stored stands."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.errors import CodecUnavailable, Corrupt, NotSerializable, StoreError, UnknownProtocol


@pytest.fixture
def s(place: str) -> Iterator[Store[Any]]:
    with Store(place) as opened:
        opened["kept"] = "as it was"
        yield opened


@pytest.fixture(params=["lambda", "open file", "lock", "socket", "generator", "local class"])
def unpicklable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    class Local:
        pass

    with open(tmp_path / "open", "w") as file, socket.socket() as sock:
        yield {
            "lambda": lambda: None,
            "open file": file,
            "lock": threading.Lock(),
            "socket": sock,
            "generator": (x for x in "x"),
            "local class": Local(),
        }[request.param]


@pytest.mark.parametrize("codec", ["pickle", "json"])
@pytest.mark.parametrize("write", ["set", "put", "update", "modify", "edit", "setdefault"])
def test_value_that_cannot_be_encoded(s: Store[Any], unpicklable: Any, codec: str, write: str) -> None:
    value = {"deep": [unpicklable]}
    s.put("kept", ["old"], codec=codec)
    with Store(s.location, codec=codec) as other, pytest.raises(NotSerializable) as caught:
        if write == "set":
            other["kept"] = value
        elif write == "put":
            other.put("kept", value)
        elif write == "update":
            other.update({"before": 1, "kept": value})
        elif write == "modify":
            other.modify("kept", lambda _: value)
        elif write == "setdefault":
            other.setdefault("new", value)
        else:
            with other.edit("kept") as old:
                old.append(unpicklable)
    assert isinstance(caught.value, TypeError)
    assert caught.value.name == ("new" if write == "setdefault" else "kept")
    assert str(caught.value).startswith(f"record '{caught.value.name}': ")
    where = "value[1]" if write == "edit" else "value['deep'][0]"
    assert caught.value.path is not None and caught.value.path.startswith(where)
    remedies = ["take it out of the value", "use the codec 'cloudpickle'"] if codec == "pickle" else ["use the codec 'pickle'"]
    assert any(f"; {remedy}" in str(caught.value) or f", or {remedy}" in str(caught.value) for remedy in remedies)
    assert dict(s) == {"kept": ["old"]}
    s["kept"] = "the store is usable"


WRITE_AN_INSTANCE = """
import sys
sys.path.insert(0, sys.argv[2])
import gone, store
with store.Store(sys.argv[1]) as s:
    s["lost"] = gone.Gone()
    s["function"] = gone.function
    s["nested"] = [gone.Outer.Inner()]
    s["kept"] = "plain"
"""

GONE = """
class Gone: pass
class Outer:
    class Inner: pass
def function(): pass
"""


@pytest.mark.parametrize("remains", [None, "", "class Outer: pass"], ids=["no module", "empty module", "half of it"])
@pytest.mark.slow
def test_class_that_no_longer_exists(
    path: Path, tmp_path: Path, remains: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    for folder, source in ((before, GONE), (after, remains)):
        folder.mkdir()
        if source is not None:
            (folder / "gone.py").write_text(source)
    subprocess.run([sys.executable, "-c", WRITE_AN_INSTANCE, path, before], timeout=60, check=True)
    monkeypatch.syspath_prepend(after)
    try:
        with Store(path) as s:
            for name, what in (("lost", "Gone"), ("function", "function"), ("nested", "Inner")):
                for read in (lambda name=name: s[name], lambda name=name: s.get(name, "a default")):
                    with pytest.raises(Corrupt, match=r"the record is intact: say where it is now, .*renames") as caught:
                        read()
                    assert caught.value.name == name
                    assert ("gone" if remains is None else what) in str(caught.value)
            assert s["kept"] == "plain"
            assert s.names() == ["function", "kept", "lost", "nested"]
            assert s.record("lost").type == "gone.Gone"
    finally:
        sys.modules.pop("gone", None)
    with monkeypatch.context() as patched:
        patched.syspath_prepend(before)
        with Store(path) as s:
            assert type(s["lost"]).__name__ == "Gone"
        sys.modules.pop("gone", None)


@pytest.mark.parametrize(
    "column, value, kind, message",
    [
        ("protocol", 6, UnknownProtocol, "written with pickle protocol 6, and this program knows 0 to 5"),
        ("codec", "cbor", CodecUnavailable, "written with the codec 'cbor', which this program does not know"),
    ],
)
@pytest.mark.damaged
def test_record_of_a_later_release(
    path: Path, column: str, value: Any, kind: type[StoreError], message: str, reseal: Callable[..., None]
) -> None:
    with Store(path) as s:
        s["new"] = "a value"
        s["old"] = "another"
    reseal(path, "new", **{column: value})
    with Store(path) as s:
        for read in (lambda: s["new"], lambda: s.get("new"), lambda: s.pop("new"), lambda: list(s.values())):
            with pytest.raises(kind, match=f"record 'new'.*{message}.*the record is intact: upgrade") as caught:
                read()
            assert getattr(caught.value, column) == value
        assert s["old"] == "another"
        assert getattr(s.record("new"), column) == value
        assert len(s) == 2
    reseal(path, "new", codec="pickle", protocol=5)
    with Store(path) as s:
        assert s["new"] == "a value"
