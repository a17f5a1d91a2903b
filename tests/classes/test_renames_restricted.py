"""Renames and records of somebody else: the new name must be allowed, and nothing is imported because of either."""

from __future__ import annotations

import pickle as stdlib
import sys
from pathlib import Path
from typing import Any

import pytest

import store
from store import Store
from store.errors import Corrupt, Untrusted

FOREIGN_KEY = b"somebody else's key, of 32 bytes!"


def write_as_stranger(path: Path, **values: Any) -> None:
    with Store(path, key=FOREIGN_KEY) as s:
        s.update(values)


def open_foreign(path: Path, **options: Any) -> Any:
    with pytest.warns(UserWarning, match="a key this program does not hold"):
        return Store(path, **options)


def test_declared_target_is_loaded(modules: Any, restricted: Any) -> None:
    body = modules.pickled("old", "[User('Ada')]")
    new = modules.add("new")
    store.allow(new.User)
    assert restricted(body, {"old.User": "new.User"}) == [new.User("Ada")]


def test_target_that_is_not_allowed_is_refused_by_its_new_name(modules: Any, restricted: Any) -> None:
    body = modules.pickled("old", "[User('Ada')]")
    modules.add("new")
    with pytest.raises(Untrusted, match=r"'new\.User'.*allow=\['new\.User'\]") as raised:
        restricted(body, {"old.User": "new.User"})
    assert raised.value.missing == "new.User"


def test_class_as_a_target_is_not_allowed_by_that(modules: Any, restricted: Any) -> None:
    body = modules.pickled("old", "[User('Ada')]")
    new = modules.add("new")
    with pytest.raises(Untrusted, match=r"'new\.User'"):
        restricted(body, {"old.User": new.User})


def test_old_name_that_is_allowed_does_not_let_the_new_one_pass(modules: Any, restricted: Any) -> None:
    body = modules.pickled("old", "[User('Ada')]")
    old = modules.add("old")
    modules.add("new")
    with pytest.raises(Untrusted, match=r"'new\.User'"):
        restricted(body, {"old.User": "new.User"}, [old.User])


def test_renamed_function_is_refused(modules: Any, restricted: Any) -> None:
    body = modules.pickled("old", "shout")
    modules.add("new")
    with pytest.raises(Untrusted, match=r"'new\.shout'"):
        restricted(body, {"old": "new"}, ["new.*"])


@pytest.mark.parametrize("target", ["trace_of_import", "trace_of_import.mod", "trace_of_import.User"])
def test_nothing_is_imported_for_a_stream_or_a_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modules: Any, restricted: Any, target: str
) -> None:
    package = tmp_path / "trace_of_import"
    package.mkdir()
    for name in ("__init__", "mod"):
        (package / f"{name}.py").write_text(
            f"import pathlib\npathlib.Path({str(tmp_path / 'trace')!r}).touch()\nclass User: pass\n"
        )
    monkeypatch.syspath_prepend(str(tmp_path))
    body = modules.pickled("old", "User('Ada')")
    for pickled, renames in [
        (body, {"old.User": f"{target}.User"}),
        (body, {"old": target}),
        (body, {"old.User": target}),
        (b"ctrace_of_import.mod\nUser\n)\x81.", {"old": "new"}),
    ]:
        with pytest.raises(Untrusted, match=r"trace_of_import"):
            restricted(pickled, renames)
    assert not (tmp_path / "trace").exists()
    assert not [name for name in sys.modules if name.startswith("trace_of_import")]
    __import__("trace_of_import")
    assert (tmp_path / "trace").exists()  # it would have left one
    for name in [name for name in sys.modules if name.startswith("trace_of_import")]:
        del sys.modules[name]


def test_target_may_be_a_standard_type_and_keeps_its_checks(modules: Any, restricted: Any) -> None:
    source = """
        class Money:
            def __init__(self, text): self.text = text
            def __reduce__(self): return Money, (self.text,)
    """
    good, bad = (modules.pickled("old", f"Money({argument})", source=source) for argument in ("'1.5'", "1.5"))
    from decimal import Decimal

    assert restricted(good, {"old.Money": Decimal}) == Decimal("1.5")
    with pytest.raises(Corrupt):
        restricted(bad, {"old.Money": "decimal.Decimal"})


def test_stream_cannot_have_a_standard_name_renamed(restricted: Any) -> None:
    """What the program says of its own names has no say in others."""
    body = stdlib.dumps([{1}, complex(1, 2), ValueError("x")], 2)
    assert repr(restricted(body, {"old": "os", "old.x": "builtins.eval"})) == repr(stdlib.loads(body))
    for hostile in (b"cos\nsystem\n.", b"cbuiltins\neval\n.", b"c__builtin__\neval\n.", b"cposix\nsystem\n."):
        with pytest.raises(Untrusted):
            restricted(hostile, {"old": "new"})


@pytest.mark.parametrize("target", ["os.system", "builtins.eval", "subprocess.Popen", "functools.partial"])
def test_rename_to_what_is_never_allowed_is_refused(modules: Any, restricted: Any, target: str) -> None:
    body = modules.pickled("old", "Broken('true')")
    with pytest.raises(Untrusted, match=target.replace(".", r"\.")):
        restricted(body, {"old.Broken": target})


def test_foreign_record_of_a_store_is_read_under_its_new_name(place: str, modules: Any) -> None:
    old = modules.add("old")
    write_as_stranger(place, ada=[old.User("Ada"), old.Outer.Inner("Bob")])
    modules.remove("old")
    new = modules.add("new")
    with open_foreign(place, renames={"old": "new"}, allow=[new.User, "new.Outer.Inner"]) as s:
        assert s["ada"] == [new.User("Ada"), new.Outer.Inner("Bob")]
        s["ada"] = s["ada"]
        assert s.inspect("ada").globals == ("new.User", "new.Outer.Inner")
    with open_foreign(place) as s:
        assert s["ada"] == [new.User("Ada"), new.Outer.Inner("Bob")]


def test_foreign_record_of_a_store_names_the_record_and_the_new_name(place: str, modules: Any) -> None:
    write_as_stranger(place, ada=modules.add("old").User("Ada"))
    modules.remove("old")
    with open_foreign(place, renames={"old": "new"}) as s, pytest.raises(Untrusted, match=r"'ada'.*'new\.User'"):
        s["ada"]


def test_enum_by_its_name_moves_with_its_class(modules: Any, restricted: Any) -> None:
    source = """
        import enum
        class Color(enum.Enum):
            RED = 1
            __reduce_ex__ = getattr(enum, "pickle_by_enum_name")
    """
    bodies = [modules.pickled("old", "Color.RED", protocol, source) for protocol in range(6)]
    new = modules.add("new", source)
    for body in bodies:
        assert restricted(body, {"old": "new"}, ["new.Color"]) is new.Color.RED
