"""`inspect` tells what a record would do without doing it; `admit` makes exactly those bytes our own."""

from __future__ import annotations

import io
import os
import pickle
import sqlite3
import sys
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from strangers import THEIRS, Marker

from store import Store
from store.codecs.pickle import description as pickle_description
from store.codecs.pickle.description import MAX_LINES, MAX_NAME, describe
from store.codecs.restricted.machine import Machine
from store.errors import Conflict, Corrupt, ReadOnly, Tampered, Untrusted

pytestmark = [pytest.mark.damaged, pytest.mark.filterwarnings("ignore:.*sealed with a key")]


class Point:
    """A class that nobody allowed."""

    def __init__(self, x: Any) -> None:
        self.x = x

    class Inner:
        pass


class Bag(list):  # type: ignore[type-arg]
    pass


class Table(dict):  # type: ignore[type-arg]
    pass


MKDIR = f"{os.mkdir.__module__}.mkdir"
MINE = Point.__module__


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """pickle finds the classes of this file by the name of its module."""
    monkeypatch.setitem(sys.modules, MINE, sys.modules.get(MINE) or _this_module())


def _this_module() -> Any:
    module = type(sys)(MINE)
    vars(module).update(globals())
    return module


def write(path: Path, name: str, value: Any, **options: Any) -> None:
    with Store[Any](path, **{"key": THEIRS, **options}) as s:
        s[name] = value


def execute(path: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute(statement, values).rowcount == 1
        conn.commit()


class TestInspect:
    def test_own_record(self, place: str) -> None:
        with Store[Any](place) as s:
            s["it"] = Point([1])
            seen = s.inspect("it")
            assert (seen.verdict, seen.globals, seen.problem) == ("own", (f"{MINE}.Point",), None)
            assert seen.record == s.record("it")
            assert "STACK_GLOBAL" in seen.disassembly and "STOP" in seen.disassembly

    def test_exploit_is_told_and_nothing_of_it_is_run(self, place: str, tmp_path: Path) -> None:
        marker = tmp_path / "code has run"
        write(place, "evil", Marker(marker))
        for trust in ("own", "data", "all"):
            with Store[Any](place, trust=trust) as s:
                seen = s.inspect("evil")
            assert (seen.verdict, seen.globals, seen.problem) == ("foreign", (MKDIR,), None)
            assert repr(str(marker)) in seen.disassembly
            assert not marker.exists()
        with Store[Any](place, trust="all") as s:
            assert s["evil"] is None
        assert marker.exists()  # the record does what it is said to

    @pytest.mark.parametrize("codec", ["pickle", "numpy", "cloudpickle"])
    def test_arrays_in_files_of_their_own(self, place: str, codec: str) -> None:
        numpy = pytest.importorskip("numpy", reason="numpy is not installed: spilled arrays are not tested")
        pytest.importorskip(codec, reason=f"{codec} is not installed") if codec == "cloudpickle" else None
        array = numpy.arange(300_000.0)
        value = array if codec == "numpy" else {"x": array, "y": [array[::-1].copy(), Point(array[:200_000])]}
        write(place, "it", value, codec=codec)
        with Store[Any](place) as s:
            seen = s.inspect("it")
            assert (seen.verdict, seen.problem) == ("foreign", None)
            assert codec == "numpy" or f"{MINE}.Point" in seen.globals
            s.admit(seen)
        with Store[Any](place, trust="own") as s:
            found = s["it"]
            assert ((found if codec == "numpy" else found["y"][1].x)[:5] == array[:5]).all()

    def test_tampered_and_corrupt_records(self, path: Path) -> None:
        with Store[Any](path) as s:
            s["tampered"] = s["ours"] = [1]
        write(path, "corrupt", [1])
        for name in ("tampered", "corrupt"):
            execute(path, "UPDATE records SET body = ? WHERE name = ?", pickle.dumps({2}), name)
        with Store[Any](path) as s:
            for name in ("tampered", "corrupt"):
                seen = s.inspect(name)
                assert seen.verdict == name
                assert seen.problem is not None and "match" in seen.problem
                assert "EMPTY_SET" in seen.disassembly

    def test_json(self, place: str) -> None:
        write(place, "it", {"a": "\U0001f600"}, codec="json")
        with Store[Any](place) as s:
            seen = s.inspect("it")
        assert (seen.verdict, seen.globals, seen.disassembly, seen.problem) == (
            "foreign",
            (),
            '{"a":"\U0001f600"}',
            None,
        )

    def test_codec_that_is_not_known_here(self, path: Path) -> None:
        write(path, "it", 1)
        execute(path, "UPDATE records SET codec = 'frob' WHERE name = ?", "it")
        with Store[Any](path) as s:
            seen = s.inspect("it")
        assert seen.globals == () and seen.disassembly == ""
        assert seen.problem is not None

    def test_missing_and_expired_names(self, place: str, clock: Any) -> None:
        with Store[Any](place, clock=clock) as s:
            s.put("it", 1, ttl=5)
            assert s.inspect("it").verdict == "own"
            clock.advance(6)
            for name in ("it", "nobody"):
                with pytest.raises(KeyError, match=name):
                    s.inspect(name)

    def test_repr_shows_no_content(self, place: str) -> None:
        with Store[Any](place) as s:
            s["it"] = "a secret of the program"
            assert "secret" not in repr(s.inspect("it"))


class TestDescribe:
    @pytest.mark.parametrize("protocol", range(6))
    @pytest.mark.parametrize(
        ("value", "named"),
        [
            ([1, {"a": (2.5, None, "x")}], set()),
            (Point(Decimal("1.5")), {f"{MINE}.Point", "decimal.Decimal"}),
            (Bag([1, Bag()]), {f"{MINE}.Bag"}),
            (Table(a=Table()), {f"{MINE}.Table"}),
            ([os.getcwd, os.mkdir], {MKDIR, f"{os.getcwd.__module__}.getcwd"}),
            (ValueError("x"), {"builtins.ValueError"}),
        ],
    )
    def test_names_what_the_full_decoder_takes(self, protocol: int, value: Any, named: set[str]) -> None:
        body = pickle.dumps(value, protocol)
        taken = set()

        class Recording(pickle._Unpickler):  # type: ignore[misc,name-defined]
            def find_class(self, module: str, name: str) -> Any:
                found = super().find_class(module, name)
                if self.proto < 3:
                    module, name = pickle._compat_pickle.NAME_MAPPING.get(  # type: ignore[attr-defined]
                        (module, name),
                        (pickle._compat_pickle.IMPORT_MAPPING.get(module, module), name),  # type: ignore[attr-defined]
                    )
                taken.add(f"{module}.{name}")
                return found

        Recording(io.BytesIO(body)).load()
        found, text, problem = describe(body)
        assert problem is None
        assert set(found) == taken >= named
        assert text.rstrip().splitlines()[-2].endswith("STOP")

    def test_what_a_call_returns_is_called_again(self) -> None:
        body = b"\x80\x04cfunctools\npartial\ncbuiltins\neval\n\x85R\x8c\x011\x85Rcos\nsystem\n0."
        found, _, problem = describe(body)
        assert found == ("functools.partial", "builtins.eval", "os.system")
        assert problem is None

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"garbage",
            b"\x80\x04cos\nsystem\n",
            b"\x80\x04cos\nsystem\n\x8c\x02id\x85R.and more",
            b"\x80\x04(ios\nsystem\n.",
            b"(S'id'\nios\nsystem\n.",
            b"\x80\x04cos\nsystem\nN\x85\x82\x01.",
            b"\x80\x04cos\nsystem\n\x8c\x01aP1\n.",
            b"\x80\x04cos\nsystem\n0" + b"(" * 200_000 + b".",
            b"\x80\x04K\x01K\x02\x93.",
            b"\x80\x04\x8c\x02os\x8d" + b"\xff" * 8,
        ],
    )
    def test_bytes_that_cannot_be_read_are_a_problem_and_no_error(self, body: bytes) -> None:
        found, text, problem = describe(body)
        assert problem
        assert set(found) <= {"os.system"}
        assert ("os.system" in found) == (b"system" in body)
        assert len(text) < 1_000_000

    def test_name_that_is_too_long_is_not_cut_to_look_like_another(self) -> None:
        name = "a." * MAX_NAME + "b"
        found, _, problem = describe(b"\x80\x04cos\n" + name.encode() + b"\n.")
        assert found == ()
        assert problem is not None and str(MAX_NAME) in problem

    def test_disassembly_ends_somewhere(self) -> None:
        text = describe(pickle.dumps([list(range(MAX_LINES))]))[1]
        assert text.endswith(f"cut after {MAX_LINES} lines\n")
        assert text.count("\n") == MAX_LINES + 1
        long = describe(pickle.dumps("x" * 10**6))[1]
        assert len(long) < 1000

    def test_opcode_that_the_machine_refuses_calls_nothing(self, tmp_path: Path) -> None:
        folder = tmp_path / "made"
        for call in (
            f"c{os.mkdir.__module__}\nmkdir\n(V{folder}\ntR.",
            f"(V{folder}\ni{os.mkdir.__module__}\nmkdir\n.",
        ):
            found = describe(call.encode())[0]
            assert found == (MKDIR,)
            assert not folder.exists()
            pickle.loads(call.encode())
            folder.rmdir()

    def test_machine_is_the_restricted_decoder(self) -> None:
        assert pickle_description.Machine is Machine


class TestAdmit:
    def test_record_reads_in_full_from_then_on(self, place: str) -> None:
        write(place, "it", Point(1))
        with Store[Any](place) as s:
            before = s.record("it")
            with pytest.raises(Untrusted):
                s["it"]
            admitted = s.admit(s.inspect("it"))
            assert s["it"].x == 1
            assert s.inspect("it").verdict == "own"
            assert admitted == s.record("it")
            assert (admitted.revision, admitted.created) == (before.revision + 1, before.created)
            assert admitted.sealed_by not in (None, before.sealed_by)
            assert (admitted.type, admitted.python, admitted.created) == (before.type, before.python, before.created)

    def test_bytes_and_lifetime_stay(self, place: str, clock: Any) -> None:
        with Store[Any](place, key=THEIRS, clock=clock) as s:
            s.put("it", [1], ttl=100, protocol=2)
        with Store[Any](place, clock=clock) as s:
            seen = s.inspect("it")
            clock.advance(10)
            s.admit(seen)
            row = s.opened.find("it")
            assert row is not None
            assert row.body == seen.row.body
            assert (row.expires, row.protocol) == (seen.row.expires, 2)
            assert row.modified == clock()

    def test_record_of_another_namespace_keeps_it(self, place: str) -> None:
        write(place, "it", Point(1), namespace="theirs")
        with Store[Any](place) as s, s.within("theirs") as theirs:
            s.admit(theirs.inspect("it"))
            assert theirs["it"].x == 1
            assert "it" not in s

    def test_record_that_changed_since_is_a_conflict(self, place: str) -> None:
        write(place, "it", [1])
        with Store[Any](place) as s:
            seen = s.inspect("it")
            write(place, "it", [2])
            with pytest.raises(Conflict, match="inspect it again") as caught:
                s.admit(seen)
            assert caught.value.name == "it"
            assert s.inspect("it").verdict == "foreign"
            assert s["it"] == [2]

    def test_same_row_with_other_bytes_is_a_conflict(self, path: Path) -> None:
        write(path, "it", [1])
        with Store[Any](path) as s:
            seen = s.inspect("it")
            execute(path, "UPDATE records SET body = ? WHERE name = ?", pickle.dumps([2], 5), "it")
            with pytest.raises(Conflict):
                s.admit(seen)

    def test_deleted_record_is_a_conflict(self, place: str) -> None:
        write(place, "it", [1])
        with Store[Any](place) as s:
            seen = s.inspect("it")
            del s["it"]
            with pytest.raises(Conflict):
                s.admit(seen)
            assert "it" not in s

    @pytest.mark.parametrize(("key", "error"), [(None, Tampered), (THEIRS, Corrupt)])
    def test_altered_record_is_never_sealed(self, path: Path, key: Any, error: type[Exception]) -> None:
        write(path, "it", [1], key=key)
        execute(path, "UPDATE records SET body = ? WHERE name = ?", pickle.dumps([2], 5), "it")
        with Store[Any](path) as s:
            seen = s.inspect("it")
            with pytest.raises(error, match="'it'"):
                s.admit(seen)
            assert s.inspect("it").row == seen.row

    def test_read_only_store(self, place: str) -> None:
        write(place, "it", [1])
        Store[Any](place).close()
        with Store[Any](place, mode="r") as s:
            seen = s.inspect("it")
            with pytest.raises(ReadOnly):
                s.admit(seen)

    def test_anything_else_than_an_inspection_is_a_type_error(self, place: str) -> None:
        with Store[Any](place) as s:
            s["it"] = 1
            with pytest.raises(TypeError, match="what inspect returned"):
                s.admit("it")  # type: ignore[arg-type]

    def test_without_a_key_nothing_is_sealed(self, place: str, own_key: Path) -> None:
        write(place, "it", [1])
        own_key.parent.mkdir(parents=True)
        own_key.write_text("00" * 32)
        own_key.chmod(0o644)  # open to others: not used
        with Store[Any](place) as s:
            seen = s.inspect("it")
            with pytest.raises(Untrusted, match="cannot be sealed"):
                s.admit(seen)
            assert s.inspect("it").row == seen.row

    def test_a_rolled_back_transaction_takes_it_back(self, place: str) -> None:
        write(place, "it", [1])
        with Store[Any](place) as s:
            with pytest.raises(ZeroDivisionError), s.transaction():
                s.admit(s.inspect("it"))
                assert s.inspect("it").verdict == "own"
                1 / 0
            assert s.inspect("it").verdict == "foreign"
