"""The object itself: opening, closing, its text, its pickle."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.errors import NotAStore, ReadOnly, StoreClosed, StoreError, StoreNotFound


class Undecodable:
    def __reduce__(self) -> Any:
        return _decoded, ()


def _decoded() -> None:
    raise AssertionError("somebody decoded the value")


def engine_of(s: Store[Any]) -> object:
    return s.opened.engine.handle.engine  # type: ignore[attr-defined]


class TestRepr:
    def test_has_path_namespace_and_count(self, place: str) -> None:
        with Store[Any](place) as s, s.within("x") as x:
            s["a"] = x["a"] = x["b"] = Undecodable()
            assert repr(s) == f"<Store {str(place)!r} namespace='' 1 records>"
            assert repr(x) == f"<Store {str(place)!r} namespace='x' 2 records>"
        assert repr(s) == f"<Store {str(place)!r} namespace='' closed>"

    def test_of_a_subclass_and_in_memory(self) -> None:
        class Sessions(Store[Any]):
            pass

        with Sessions(":memory:") as s:
            assert repr(s) == "<Sessions ':memory:' namespace='' 0 records>"

    def test_shows_no_key(self, place: str) -> None:
        with Store[Any](place, key=b"very secret, and long") as s:
            assert "secret" not in repr(s)
            assert "secret" not in str(s)

    def test_of_a_store_that_cannot_be_read_still_is_one(self, path: Path) -> None:
        with Store[Any](path) as s:
            path.rename(path.with_name("elsewhere.db"))
            assert repr(s) == f"<Store {str(path)!r} namespace='' unreadable: StorageError>"
            path.with_name("elsewhere.db").rename(path)


CALLS: dict[str, Callable[[Store[Any]], Any]] = {
    "__getitem__": lambda s: s["a"],
    "__setitem__": lambda s: s.__setitem__("a", 1),
    "__delitem__": lambda s: s.__delitem__("a"),
    "__contains__": lambda s: "a" in s,
    "__len__": len,
    "__bool__": bool,
    "__iter__": list,
    "__reversed__": lambda s: list(reversed(s)),
    "__eq__": lambda s: s == {},
    "__ne__": lambda s: s != {},
    "__or__": lambda s: s | {},
    "__ror__": lambda s: {} | s,
    "__ior__": lambda s: s.__ior__({"a": 1}),
    "__enter__": lambda s: s.__enter__(),
    "get": lambda s: s.get("a"),
    "pop": lambda s: s.pop("a", None),
    "popitem": lambda s: s.popitem(),
    "setdefault": lambda s: s.setdefault("a", 1),
    "update": lambda s: s.update(a=1),
    "clear": lambda s: s.clear(),
    "keys": lambda s: list(s.keys()),
    "values": lambda s: list(s.values()),
    "items": lambda s: list(s.items()),
    "put": lambda s: s.put("a", 1),
    "add": lambda s: s.add("a", 1),
    "incr": lambda s: s.incr("a"),
    "delete": lambda s: s.delete("a"),
    "delete_many": lambda s: s.delete_many(["a"]),
    "delete_prefix": lambda s: s.delete_prefix("a"),
    "get_with_record": lambda s: s.get_with_record("a"),
    "transact": lambda s: s.transact(len),
    "get_many": lambda s: s.get_many(["a"]),
    "record": lambda s: s.record("a"),
    "records": lambda s: list(s.records()),
    "names": lambda s: s.names(),
    "edit": lambda s: s.edit("a", {}).__enter__(),
    "modify": lambda s: s.modify("a", lambda value: value, 1),
    "transaction": lambda s: s.transaction().__enter__(),
    "lock": lambda s: s.lock("a").__enter__(),
    "touch": lambda s: s.touch("a", 5),
    "purge": lambda s: s.purge(),
    "within": lambda s: s.within("x"),
    "namespaces": lambda s: s.namespaces(),
    "stats": lambda s: s.stats(),
    "compact": lambda s: s.compact(),
    "backup": lambda s: s.backup("backup.db"),
    "rekey": lambda s: s.rekey(),
    "inspect": lambda s: s.inspect("a"),
    "admit": lambda s: s.admit(None),
    "verify": lambda s: s.verify(),
    "sync": lambda s: s.sync(),
    "watch": lambda s: s.watch(),
}
FINE_WHEN_CLOSED = {"close", "namespace", "location", "opened"}
OPERATORS = {name for name in CALLS if name.startswith("__")}


class TestClose:
    def test_no_public_method_is_forgotten_here(self) -> None:
        public = {name for name, _ in inspect.getmembers(Store) if not name.startswith("_")}
        assert public == (CALLS.keys() - OPERATORS) | FINE_WHEN_CLOSED

    @pytest.mark.parametrize("name", CALLS)
    @pytest.mark.parametrize("options", [{}, {"writeback": True}], ids=["plain", "writeback"])
    def test_makes_every_use_raise(self, place: str, name: str, options: dict[str, Any]) -> None:
        with Store[Any](place) as keeps_the_engine_open:
            s = Store[Any](place, **options)
            s["a"] = 1
            s.close()
            with pytest.raises(StoreClosed, match="was closed; open it again") as caught:
                CALLS[name](s)
            assert isinstance(caught.value, ValueError)
            assert str(place) in str(caught.value)
            assert dict(keeps_the_engine_open) == {"a": 1}

    def test_leaves_what_needs_no_file(self, place: str) -> None:
        s = Store[Any](place, namespace="x")
        s.close()
        s.close()
        assert (s.namespace, s.location) == ("x", str(place))
        assert 1 not in s
        assert s == s

    def test_ends_iterations_that_are_under_way(self, place: str) -> None:
        s = Store[Any](place)
        s.update({f"n{i}": i for i in range(1000)})
        names, items = iter(s), iter(s.items())
        assert (next(names), next(items)) == ("n0", ("n0", 0))
        s.close()
        with pytest.raises(StoreClosed):
            list(names)
        with pytest.raises(StoreClosed):
            list(items)

    def test_inside_its_own_transaction_is_refused(self, place: str) -> None:
        s = Store[Any](place)
        with s.transaction():
            s["a"] = 1
            with pytest.raises(StoreError, match="inside its transaction"):
                s.close()
        assert s["a"] == 1
        with s.edit("b", {}), pytest.raises(StoreError, match="inside its transaction"):
            s.close()
        s.close()

    def test_comes_with_the_end_of_the_block_and_of_the_object(self, place: str) -> None:
        with pytest.raises(RuntimeError), Store[Any](place) as s:
            raise RuntimeError
        with pytest.raises(StoreClosed):
            s["a"]
        Store[Any](place)["a"] = 1  # collected at once; the leak check of every test would see it
        with Store[Any](place) as s:
            assert s["a"] == 1

    def test_of_a_store_that_never_opened_is_silent(self, path: Path) -> None:
        path.write_text("no store")
        with pytest.raises(NotAStore):
            Store[Any](path)
        path.unlink()

    def test_memory_store_forgets(self) -> None:
        with Store[Any](":memory:") as s:
            s["a"] = 1
        with Store[Any](":memory:") as s:
            assert dict(s) == {}


class TestPickle:
    def test_opens_the_same_file_with_the_same_options(self, path: Path, clock: Any) -> None:
        with Store[Any](path, namespace="x", codec="json", ttl=60, trust="own", timeout=7, writeback=True) as s:
            s["a"] = [1]
            s.sync()
            with pickle.loads(pickle.dumps(s)) as again:
                assert again == {"a": [1]}
                assert (again.namespace, again.location) == ("x", str(path))
                record = again.put("b", 1)
                assert record.codec == "json"
                assert record.expires is not None
                again["a"].append(2)
                again.sync()
                assert engine_of(again) is engine_of(s)
        with Store[Any](path, namespace="x") as s:
            assert s["a"] == [1, 2]

    @pytest.mark.damaged  # sealed with a key that this program does not have
    def test_never_has_the_key(self, place: str) -> None:
        secret = b"0123456789abcdef-the-secret-key"
        with Store[Any](place, key=secret) as s:
            s["a"] = 1
            data = pickle.dumps(s)
            key = s.opened.values.sealer.keyring.sealing_key()
            assert key is not None
            for hidden in (secret, key._secret, secret.hex().encode(), key._secret.hex().encode()):
                assert hidden not in data
        with pytest.warns(UserWarning, match="does not hold"):
            again = pickle.loads(data)
        assert again["a"] == 1
        again.close()

    def test_never_has_the_users_own_key(self, place: str, own_key: Path) -> None:
        with Store[Any](place) as s:
            s["a"] = 1
            data = pickle.dumps(s)
        text = own_key.read_text().strip()
        assert len(text) == 64
        assert text.encode() not in data
        assert bytes.fromhex(text) not in data

    def test_keeps_to_the_file_after_a_change_of_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with Store[Any]("app.db") as s:
            s["a"] = 1
            data = pickle.dumps(s)
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        with pickle.loads(data) as again:
            assert again["a"] == 1

    def test_of_mode_n_does_not_empty_it_again(self, place: str) -> None:
        with Store[Any](place, mode="n") as s:
            s["a"] = 1
            with pickle.loads(pickle.dumps(s)) as again:
                assert dict(again) == {"a": 1}

    def test_of_a_reader_is_a_reader(self, place: str) -> None:
        with Store[Any](place) as s:
            s["a"] = 1
        with Store[Any](place, mode="r") as s, pickle.loads(pickle.dumps(s)) as again:
            assert again["a"] == 1
            with pytest.raises(ReadOnly):
                again["a"] = 2

    def test_does_not_make_a_file_that_has_gone(self, path: Path) -> None:
        with Store[Any](path) as s:
            data = pickle.dumps(s)
        path.unlink()
        with pytest.raises(StoreNotFound):
            pickle.loads(data)

    def test_of_a_memory_store_is_refused(self) -> None:
        with Store[Any](":memory:") as s, pytest.raises(TypeError, match="in-memory"):
            pickle.dumps(s)

    def test_keeps_the_allowed_classes_given_as_an_iterator(self, place: str) -> None:
        with Store[Any](place, allow=iter([Path])) as s, pickle.loads(pickle.dumps(s)) as again:
            assert again.opened.options.allow == (Path,)

    def test_copies_are_other_handles(self, place: str) -> None:
        with Store[Any](place, namespace="x") as s:
            s["a"] = [1]
            for make in (copy.copy, copy.deepcopy):
                with make(s) as other:
                    assert other is not s
                    assert other == s
                    assert other.namespace == "x"
            assert s["a"] == [1], "open still"

    @pytest.mark.slow
    def test_goes_to_another_process(self, place: str, start: Any) -> None:
        with Store[Any](place, namespace="x") as s:
            s["a"] = 1
            child = start(
                """
                import json, pickle, sys
                with pickle.loads(bytes.fromhex(sys.argv[1])) as s:
                    s["b"] = s["a"] + 1
                    print(json.dumps(s.namespace))
                """,
                pickle.dumps(s).hex(),
            )
            assert child.result() == "x"
            assert s["b"] == 2


def test_is_generic_in_the_type_of_its_values(place: str) -> None:
    with Store[int](place) as s:
        assert type(s) is Store
        s["a"] = 1
        with s.within("x") as x:
            assert type(x) is Store
    with Store[dict[str, int]](place, namespace="x") as d:
        assert isinstance(d, Store)
