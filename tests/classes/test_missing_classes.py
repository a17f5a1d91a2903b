"""`on_missing`: errors that name what is gone and what to do, and stores whose placeholders are written back."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import store
from store import Store
from store.classes.lookup import Lookup
from store.codecs import pickle
from store.errors import Corrupt, NotSerializable, Untrusted

PROTOCOLS = range(6)
ADVICE = r'renames=\{{{}: "new\.module\.Name"\}}.*on_missing="placeholder"'


def told(*names: str) -> str:
    """What the message of a missing class matches."""
    name = "'" + r"\.".join(names) + "'"
    return name + ".*" + ADVICE.format(name)


@pytest.mark.parametrize("wrapped", ["{}", "[{{'a': ({},)}}]"])
@pytest.mark.parametrize("expression, dotted", [
    ("User('Ada')", ("old", "mod", "User")), ("User", ("old", "mod", "User")), ("shout", ("old", "mod", "shout")),
    ("Color.RED", ("old", "mod", "Color")), ("Outer.Inner('a')", ("old", "mod", r"Outer(?:\.Inner)?")),
])  # fmt: skip
def test_class_of_a_module_that_is_gone_is_named(
    modules: Any, full: Any, expression: str, dotted: tuple[str, ...], wrapped: str
) -> None:
    for protocol in PROTOCOLS:
        body = modules.pickled("old.mod", wrapped.format(expression), protocol)
        with pytest.raises(Corrupt, match=told(*dotted)) as raised:
            full(body)
        assert isinstance(raised.value.__cause__, ImportError)


@pytest.mark.parametrize("expression, source, dotted", [
    ("User('Ada')", "", ("old", "User")),
    ("Outer.Inner('Ada')", "class Outer: pass", ("old", "Outer", "Inner")),
    ("Outer.Inner.Innermost()", "class Outer:\n    class Inner: pass", ("old", "Outer", "Inner", "Innermost")),
])  # fmt: skip
def test_class_that_is_gone_from_its_module_is_named(
    modules: Any, full: Any, expression: str, source: str, dotted: tuple[str, ...]
) -> None:
    for protocol in PROTOCOLS:
        body = modules.pickled("old", expression, protocol)
        modules.add("old", source)
        with pytest.raises(Corrupt, match=told(*dotted)) as raised:
            full(body)
        assert isinstance(raised.value.__cause__, AttributeError)


def test_error_of_a_store_names_the_record(place: str, modules: Any) -> None:
    old = modules.add("old")
    with Store(place) as s:
        s.within("").close()
        s["user:1"] = [old.User("Ada")]
        modules.remove("old")
        with pytest.raises(Corrupt, match=r"record 'user:1'.*'old\.User'") as raised:
            s["user:1"]
        assert raised.value.name == "user:1"
        modules.add("old")
        assert s["user:1"]


@pytest.mark.parametrize("name", ["cloudpickle", "dill", "joblib"])
def test_other_picklers_name_what_is_gone_and_load_placeholders(place: str, modules: Any, name: str) -> None:
    pytest.importorskip(name, reason=f"the codec {name} needs its library")
    old = modules.add("old")
    with Store(place, codec=name) as s:
        s["a"] = {"user": old.User("Ada"), "class": old.User}
    modules.remove("old")
    with Store(place) as s, pytest.raises(Corrupt, match=told("old", "User")):
        s["a"]
    with Store(place, codec=name, on_missing="placeholder") as s:
        found = s["a"]
        assert "placeholder for old.User, state {'name': 'Ada'}" in repr(found)
        for part in (found, found["user"], found["class"]):
            with pytest.raises(NotSerializable, match="codec 'pickle' only"):
                s.put("b", part)
        assert "b" not in s
        s.put("c", found, codec="pickle")
    modules.add("old")
    with Store(place) as s:
        assert s["c"] == s["a"]


def test_module_that_needs_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modules: Any) -> None:
    (tmp_path / "needs_gone.py").write_text("import gone_for_good\nclass User: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    body = modules.pickled("needs_gone", "User()", source="class User: pass")
    with pytest.raises(Corrupt, match=r"'needs_gone\.User'.*gone_for_good.*renames"):
        pickle.codec.decode(body)
    found = pickle.codec.decode(body, lookup=Lookup(placeholders=True))
    assert isinstance(found, store.Placeholder) and found.class_name == "needs_gone.User"


@pytest.mark.parametrize("error", ["ImportError('a')", "AttributeError('a')", "ModuleNotFoundError('a', name='a')"])
@pytest.mark.parametrize("method", ["__setstate__(self, state)", "__new__(cls)"])
def test_bug_of_a_class_is_not_taken_for_a_missing_one(modules: Any, method: str, error: str) -> None:
    source = f"class User:\n    armed = False\n    def {method}:\n        if User.armed: raise {error}\n"
    source += "        return object.__new__(User)\n" if "new" in method else ""
    app = modules.add("app", source)
    user = app.User()
    user.a = 1
    body = pickle.codec.encode([user], 5)
    app.User.armed = True
    for placeholders in (False, True):
        with pytest.raises(Corrupt) as raised:
            pickle.codec.decode(body, lookup=Lookup(placeholders=placeholders))
        assert "renames" not in str(raised.value) and "cannot be decoded" in str(raised.value)
        assert repr(raised.value.__cause__) == repr(eval(error))


def test_module_that_was_not_come_to_has_no_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modules: Any
) -> None:
    """The bug is told, and not what the import of a later module raises."""
    (tmp_path / "raises_at_import.py").write_text("raise ValueError('at import')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    source = "class User:\n    def __setstate__(self, state): raise AttributeError('a bug')\n"
    later = modules.add("raises_at_import", "class Later: pass").Later()
    user = modules.add("app", source).User()
    user.a = 1
    body = pickle.codec.encode([user, later], 5)
    modules.remove("raises_at_import")
    with pytest.raises(Corrupt, match="a bug"):
        pickle.codec.decode(body)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_store_writes_untouched_placeholders_byte_for_byte(place: str, modules: Any, protocol: int) -> None:
    old = modules.add("old")
    with Store(place, protocol=protocol) as s:
        s["a"] = [old.User("Ada"), {"b": old.Outer.Inner("Bob")}, {1, "x"}]
        body, record = s.inspect("a").row.body, s.record("a")
    modules.remove("old")
    with Store(place, protocol=protocol, on_missing="placeholder") as s:
        with s.edit("a") as value:
            assert isinstance(value[0], store.Placeholder)
        assert s.record("a") == record
        s["a"] = s["a"]
        s.put("copy", s["a"])
        s.modify("a", lambda value: value)
        assert s.inspect("a").row.body == s.inspect("copy").row.body == body
    with Store(place, protocol=protocol, on_missing="placeholder", writeback=True) as s:
        assert s["a"] and s["copy"]
    with Store(place) as s:
        assert (s.record("copy").revision, s.inspect("copy").row.body) == (1, body)
        modules.add("old")
        assert s["a"][1] == {"b": sys.modules["old"].Outer.Inner("Bob")}


@pytest.mark.parametrize("writeback", [False, True])
def test_edit_beside_a_placeholder_is_written_with_it(place: str, modules: Any, writeback: bool) -> None:
    old = modules.add("old")
    with Store(place) as s:
        s["a"] = {"user": old.User("Ada"), "count": 1}
    modules.remove("old")
    with Store(place, on_missing="placeholder", writeback=writeback) as s:
        if writeback:
            s["a"]["count"] += 1
        else:
            with s.edit("a") as value:
                value["count"] += 1
    old = modules.add("old")
    with Store(place) as s:
        assert s["a"] == {"user": old.User("Ada"), "count": 2}
        assert s.record("a").revision == 2


def test_edit_of_a_placeholder_itself(place: str, modules: Any) -> None:
    old = modules.add("old")
    with Store(place) as s:
        s["a"] = old.User("Ada")
    modules.remove("old")
    with Store(place, on_missing="placeholder") as s, s.edit("a") as found:
        found.state["name"] = "Eve"
    old = modules.add("old")
    with Store(place) as s:
        assert s["a"] == old.User("Eve")


@pytest.mark.parametrize("codec", ["json", "pickle"])
def test_placeholder_in_another_codec_is_told(place: str, modules: Any, gone: Any, codec: str) -> None:
    found = gone(modules.pickled("old", "[User('Ada')]"))
    with Store(place) as s:
        if codec == "json":
            with pytest.raises(NotSerializable, match=r"[Pp]laceholder|User"):
                s.put("a", found, codec="json")
        else:
            s.put("a", found)
        assert ("a" in s) is (codec == "pickle")


@pytest.mark.parametrize("made", [copy.copy, copy.deepcopy, lambda value: copy.deepcopy([value])])
def test_copy_of_a_placeholder_is_refused_clearly(modules: Any, gone: Any, made: Any) -> None:
    found = gone(modules.pickled("old", "User('Ada')"))
    with pytest.raises(Exception, match=r"placeholder for old\.User .*cannot be copied"):
        made(found)


def test_stdlib_pickler_refuses_placeholders_and_their_classes(modules: Any, gone: Any) -> None:
    import pickle as stdlib

    found = gone(modules.pickled("old", "[User('Ada'), User]"))
    for part in found:
        for dumps in (stdlib.dumps, stdlib._dumps):  # type: ignore[attr-defined]
            with pytest.raises(stdlib.PicklingError, match=r"placeholder for old\.User"):
                dumps(part)


def test_foreign_record_stays_untrusted_and_nothing_is_imported(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch, modules: Any
) -> None:
    (tmp_path / "leaves_a_trace.py").write_text(
        f"import pathlib\npathlib.Path({str(tmp_path / 'trace')!r}).touch()\nclass User: pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with Store(place, key=b"the key of somebody else, 32 long") as s:
        s["a"] = modules.add("leaves_a_trace", "class User: pass").User()
        s["b"] = [modules.add("gone_for_good", "class User: pass").User()]
    modules.remove("leaves_a_trace")
    modules.remove("gone_for_good")
    with pytest.warns(UserWarning, match="a key this program does not hold"):
        s = Store(place, on_missing="placeholder")
    with s:
        for name, dotted in (("a", "leaves_a_trace.User"), ("b", "gone_for_good.User")):
            with pytest.raises(Untrusted) as raised:
                s[name]
            assert raised.value.missing == dotted
    assert not (tmp_path / "trace").exists() and "leaves_a_trace" not in sys.modules


def test_trust_all_loads_placeholders_of_foreign_records(place: str, modules: Any) -> None:
    with Store(place, key=b"the key of somebody else, 32 long") as s:
        s["a"] = [modules.add("old").User("Ada")]
        body = s.inspect("a").row.body
    modules.remove("old")
    with Store(place, trust="all", on_missing="placeholder") as s:
        s["a"] = s["a"]
        assert s.inspect("a").row.body == body


PROGRAM = """
    import sys, pickle as stdlib
    if sys.argv[1] == "before":
        {dill}
    import store
    from store.classes.lookup import Lookup
    from store.codecs import pickle
    if sys.argv[1] == "after":
        {dill}
    class User:
        def __init__(self, name): self.name = name
    def function(): pass
    value = [User("Ada"), function, dict, {{"a": 1}}, {{1}}, b"b", 1.5, None, (), len, stdlib.PickleBuffer]
    bodies = [stdlib.dumps(value, protocol) for protocol in range(6)]
    Class = User
    del User
    for protocol, body in enumerate(bodies):
        found = pickle.codec.decode(body, lookup=Lookup(placeholders=True))
        assert isinstance(found[0], store.Placeholder), found
        assert pickle.codec.encode(found, protocol) == body
        written = pickle.codec.encode([found], protocol)
        User = Class
        again = stdlib.loads(written)[0]
        assert again[0].name == "Ada" and again[1:] == value[1:], again
        del User
    print("well")
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_dill_in_the_program_changes_nothing(when: str) -> None:
    """dill puts functions of its own into the stdlib's pickler."""
    pytest.importorskip("dill", reason="what the import of dill changes can be tested only with it")
    code = dedent(PROGRAM.format(dill="import dill; dill.extend(use_dill=True)"))
    done = subprocess.run([sys.executable, "-c", code, when], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("well\n", 0), done.stderr


@pytest.mark.slow
def test_class_comes_back_in_a_later_program(tmp_path: Path, place: str) -> None:
    """Three programs: the class is there, is not there, is there again."""
    write = "from shop import Item; s['a'] = [Item('tea')]"
    touch = "v = s['a']; assert 'placeholder for shop.Item' in repr(v); v.append(1); s['a'] = v; s['b'] = s['a'][0]"
    read = "a = s['a']; assert a[0].name == s['b'].name == 'tea' and a[1:] == [1] and 'Placeholder' not in repr(a)"
    source = "class Item:\n    def __init__(self, name): self.name = name\n"
    for code, there in ((write, True), (touch, False), (read, True)):
        folder = tmp_path / f"shop{there}"
        folder.mkdir(exist_ok=True)
        if there:
            (folder / "shop.py").write_text(source)
        program = f"import sys; sys.path.insert(0, sys.argv[1])\nfrom store import Store\n" \
            f"with Store(sys.argv[2], on_missing='placeholder') as s: {code}"
        subprocess.run([sys.executable, "-c", program, str(folder), str(place)], check=True, timeout=60)
