"""Every remedy that an error names works when it is followed, and a refusal names none that cannot."""

from __future__ import annotations

import ast
import collections
import io
import operator
import os
import pickle as stdlib
import re
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import store
from store import Store, importers
from store.classes import allowlist
from store.cli import main
from store.codecs import pickle
from store.codecs.refusals import DISTRIBUTIONS
from store.errors import ClassNotFound, Corrupt, StoreError, Untrusted
from store.messages import stream as messages

THEIRS, MINE = b"t" * 32, b"m" * 32
PACKAGE = Path(store.__file__).parent

pytestmark = pytest.mark.filterwarnings("ignore:.*sealed with a key")

REMEDIES = {
    "allow": r"allow=(\[[^\]]+\])", "decorator": r"@store\.allow", "key": r"STORE_KEY_FILE(?!=)|pass key=",
    "admit": r"`store admit ([^`]*)`", "auto": r'codec="auto"', "renames": r"renames=\{([^}]*)\}", "path": r"PYTHONPATH",
    "placeholder": r'on_missing="placeholder"', "install": r"pip install ([\w.-]+)", "trust": r'trust="all"',
    "both": r"both sides the same key=",
}  # fmt: skip


def named(message: str) -> dict[str, str]:
    """The remedies in a message, each with what it says besides."""
    found = {kind: re.search(pattern, message) for kind, pattern in REMEDIES.items()}
    return {kind: match[match.lastindex or 0] for kind, match in found.items() if match}


class Point:
    """A class of the program's own."""

    def __init__(self, x: Any = 1) -> None:
        self.x = x


class ByFunction:
    """Pickles as a call of a function, which no `allow=` lets pass."""

    def __reduce__(self) -> Any:
        return make_point, ()


def make_point() -> Point:
    return Point()


class Shadowed:
    """Pickles as a call of a function of the standard library."""

    def __reduce__(self) -> Any:
        return operator.add, (1, 2)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """pickle finds the classes of this file by the name of its module, and `allow=` does too."""
    here = types.ModuleType("remedies_of_a_program")
    for found in (Point, ByFunction, make_point, Shadowed):
        monkeypatch.setattr(found, "__module__", here.__name__)
        setattr(here, found.__name__, found)
    monkeypatch.setitem(sys.modules, here.__name__, here)


def numpy() -> Any:
    return pytest.importorskip("numpy", reason="numpy is not installed: remedies for arrays are not tested")


def objects() -> Any:
    return numpy().array([{}, None])


def frame() -> Any:
    return pytest.importorskip("pandas", reason="pandas is not installed").DataFrame({"a": [1.5, 2.0]})


def estimator() -> Any:
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    return linear_model.LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0])


def text_array() -> Any:
    dtypes = getattr(numpy(), "dtypes", None)
    if not hasattr(dtypes, "StringDType"):
        pytest.skip("NumPy 1 has no StringDType")
    return numpy().array(["a"], dtype=dtypes.StringDType())


REFUSED: dict[str, tuple[Callable[[], Any], set[str]]] = {
    "class": (Point, {"allow", "decorator", "key"}),
    "class in a container": (lambda: {"a": [Point()]}, {"allow", "decorator", "key"}),
    "class of the standard library": (collections.UserDict, {"allow", "decorator", "key"}),
    "function": (ByFunction, {"key", "admit"}), "function of the standard library": (Shadowed, {"key", "admit"}),
    "frame": (frame, {"key", "admit", "auto"}), "series": (lambda: frame()["a"], {"key", "admit", "auto"}),
    "estimator": (estimator, {"key", "admit", "auto"}), "masked array": (lambda: numpy().ma.array([1], mask=[1]), {"key", "admit", "auto"}),
    "matrix": (lambda: numpy().ones((1, 1)).view(numpy().matrix), {"key", "admit", "auto"}), "generator": (lambda: numpy().random.default_rng(1), {"key", "admit", "auto"}),
    "objects in an array": (objects, {"key", "admit"}), "StringDType": (text_array, {"key", "admit"}),
}  # fmt: skip


@pytest.fixture(params=REFUSED)
def refused(request: pytest.FixtureRequest, place: str) -> tuple[Any, str, set[str]]:
    """The value, what reading it says, and the remedies that it is to name."""
    make, remedies = REFUSED[request.param]
    value = make()
    with Store[Any](place, key=THEIRS) as s:
        s["it"] = value
    with Store[Any](place, key=MINE) as s, pytest.raises(Untrusted) as caught:
        s["it"]
    return value, str(caught.value), remedies


def is_as_written(place: str, value: Any, **options: Any) -> bool:
    with Store[Any](place, **{"key": MINE, **options}) as s:
        return type(s["it"]) is type(stdlib.loads(stdlib.dumps(value)))


def test_refusal_of_a_store(refused: tuple[Any, str, set[str]], place: str, tmp_path: Path, monkeypatch: Any) -> None:
    value, message, remedies = refused
    found = named(message)
    assert set(found) == remedies
    if "allow" in found:
        assert is_as_written(place, value, allow=ast.literal_eval(found["allow"]))
        with monkeypatch.context() as patched:
            patched.setattr(allowlist, "_declared", dict(allowlist._declared))
            module, _, name = ast.literal_eval(found["allow"])[0].rpartition(".")
            store.allow(getattr(sys.modules[module], name))
            assert is_as_written(place, value)
    (tmp_path / "keys").write_bytes(THEIRS.hex().encode() + b"\n")
    if "auto" in found:
        with Store[Any](tmp_path / "auto.db", key=THEIRS, codec="auto") as s:
            s["numbers"] = numpy().asarray([1.5, 2.0])
            s["table"] = {"a": numpy().asarray([1.5])}
        with Store[Any](tmp_path / "auto.db", key=MINE) as s:
            assert (s["numbers"].tolist(), s["table"]["a"].tolist()) == ([1.5, 2.0], [1.5])
    assert is_as_written(place, value, key=THEIRS)
    if "admit" in found:
        assert found["admit"] == "FILE NAME"
        monkeypatch.setenv("STORE_KEY_FILE", str(_key_file(tmp_path)))
        run_cli("admit", place, "it")
        assert is_as_written(place, value, key=None, trust="own")


def _key_file(folder: Path) -> Path:
    file = folder / "own keys"
    file.write_text("a1" * 32 + "\n")
    file.chmod(0o600)
    return file


def run_cli(*arguments: Any) -> None:
    assert main([str(argument) for argument in arguments]) in (0, None)


def test_key_file_is_what_the_message_says(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_KEY_FILE", str(_key_file(tmp_path)))
    with Store[Any](place) as s:
        s["it"] = Point()
    monkeypatch.delenv("STORE_KEY_FILE")
    with Store[Any](place, key=MINE) as s, pytest.raises(Untrusted, match=r"bring the key .* \(STORE_KEY_FILE\)"):
        s["it"]
    monkeypatch.setenv("STORE_KEY_FILE", str(_key_file(tmp_path)))
    assert is_as_written(place, Point(), key=None)


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_of_bytes_alone(name: str, tmp_path: Path) -> None:
    value = REFUSED[name][0]()
    body = stdlib.dumps(value, 5)
    for read in (pickle.loads, lambda data, **options: pickle.load(io.BytesIO(data), **options)):
        with pytest.raises(Untrusted) as caught:
            read(body)
        found = named(str(caught.value))
        assert set(found) == {"trust"} | ({"allow", "decorator"} & REFUSED[name][1])
        for options in ({"trust": "all"}, {"allow": ast.literal_eval(found.get("allow", "[]"))} if "allow" in found else {}):
            if options:
                assert type(read(body, **options)) is type(stdlib.loads(body))


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_of_a_message(name: str) -> None:
    value = REFUSED[name][0]()
    file = io.BytesIO()
    messages.send(file, value)
    sent = file.getvalue()
    with pytest.raises(Untrusted) as caught:
        messages.receive(io.BytesIO(sent))
    found = named(str(caught.value))
    assert set(found) == {"both"} | ({"allow", "decorator"} & REFUSED[name][1])
    if "allow" in found:
        assert messages.receive(io.BytesIO(sent), allow=ast.literal_eval(found["allow"])) is not None
    file = io.BytesIO()
    messages.send(file, value, key=THEIRS)
    file.seek(0)
    assert type(messages.receive(file, key=THEIRS)) is type(stdlib.loads(stdlib.dumps(value)))


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_of_an_import(name: str, tmp_path: Path, place: str) -> None:
    value = REFUSED[name][0]()
    (tmp_path / "it.pickle").write_bytes(stdlib.dumps(value))
    with Store[Any](place) as s:
        (done,) = importers.import_into(s, "pickles", tmp_path / "it.pickle")
        found = named(done.why)
        assert done.outcome == "refused" and set(found) == {"trust"} | ({"allow"} & REFUSED[name][1])
        if "allow" in found:
            allow = ast.literal_eval(found["allow"])
            assert f"--allow {allow[0]}" in done.why
            (done,) = importers.import_into(s, "pickles", tmp_path / "it.pickle", allow=allow)
            assert done.outcome == "imported"
            s.clear()
        (done,) = importers.import_into(s, "pickles", tmp_path / "it.pickle", trust="all")
        assert done.outcome == "imported"


@pytest.mark.parametrize("name", [name for name in REFUSED if name != "function of the standard library"])
def test_refusal_of_a_write_without_a_key(name: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    value = REFUSED[name][0]()
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    with Store[Any](place) as s, pytest.raises(Untrusted) as caught:
        s["it"] = value
    found = named(str(caught.value))
    assert set(found) == {"key"} | ({"decorator"} & REFUSED[name][1])
    with Store[Any](place, key=MINE) as s:
        s["it"] = value
    assert is_as_written(place, value)


def test_write_without_a_key_that_trusts_its_own_alone(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    with pytest.warns(UserWarning, match="STORE_KEY_FILE"), Store[Any](place, trust="own") as s:
        with pytest.raises(Untrusted) as caught:
            s["it"] = 1
    assert set(named(str(caught.value))) == {"key"}


@pytest.mark.parametrize("codec", ["cloudpickle", "dill", "joblib"])
def test_codec_without_restraint(codec: str, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if find_spec(codec) is None:  # not imported: dill would change the picklers of all tests
        pytest.skip(f"{codec} is not installed")
    with Store[Any](path, key=THEIRS, codec=codec) as s:
        s["it"] = [1]
    with Store[Any](path, key=MINE) as s, pytest.raises(Untrusted) as caught:
        s["it"]
    assert set(named(str(caught.value))) == {"key", "admit"}
    assert is_as_written(path, [1], key=THEIRS)
    monkeypatch.setenv("STORE_KEY_FILE", str(_key_file(tmp_path)))
    run_cli("admit", path, "it")
    assert is_as_written(path, [1], key=None)


def test_name_that_was_cut_is_not_offered() -> None:
    with pytest.raises(Untrusted) as caught:
        pickle.loads(b"c" + b"m" * 150 + b"\n" + b"N" * 150 + b"\n.")
    assert "allow" not in named(str(caught.value)) and not caught.value.allowable


@pytest.mark.parametrize("name", ["functools.partial", "os.system", "builtins.eval", "builtins.map", "subprocess.Popen"])
def test_what_is_never_allowed_is_not_offered(name: str) -> None:
    module, _, rest = name.rpartition(".")
    with pytest.raises(Untrusted) as caught:
        pickle.loads(f"c{module}\n{rest}\n)R.".encode())
    assert set(named(str(caught.value))) == {"trust"}
    assert "allow" in str(caught.value)  # and says so


# -- what is not here


def gone(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is said of a record whose class was in a module that is no more."""
    (tmp_path / "before").mkdir()
    (tmp_path / "before" / "gone_by_now.py").write_text("class User:\n    name = 'Ada'\n")
    with monkeypatch.context() as patched:
        patched.syspath_prepend(tmp_path / "before")
        import gone_by_now  # type: ignore[import-not-found]

        with Store[Any](path) as s:
            s["it"] = gone_by_now.User()
    del sys.modules["gone_by_now"]
    with Store[Any](path) as s, pytest.raises(ClassNotFound) as caught:
        s["it"]
    assert caught.value.missing == "gone_by_now.User"
    return str(caught.value)


@pytest.mark.slow
def test_class_that_is_gone(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = named(gone(path, tmp_path, monkeypatch))
    assert set(found) == {"renames", "path", "placeholder"}
    old, _, new = found["renames"].partition(": ")
    assert (ast.literal_eval(old), new) == ("gone_by_now.User", '"new.module.Name"')
    with Store[Any](path, renames={"gone_by_now.User": "remedies_of_a_program.Point"}) as s:
        assert type(s["it"]) is Point
    with Store[Any](path, on_missing="placeholder") as s:
        assert "gone_by_now.User" in repr(s["it"])
    program = "import sys, store; print(store.Store(sys.argv[1])['it'].name)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "before"), *sys.path])}
    done = subprocess.run([sys.executable, "-c", program, path], env=environment, capture_output=True, text=True, timeout=60, check=True)  # fmt: skip
    assert done.stdout == "Ada\n"


@pytest.fixture
def uninstalled(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Takes a library away for a while: a context manager, at whose end it is installed again."""

    class Without:
        def __init__(self, library: str) -> None:
            self.library = library

        def __enter__(self) -> None:
            self.context = pytest.MonkeyPatch()
            for name in list(sys.modules):
                if name == self.library or name.startswith(f"{self.library}."):
                    self.context.delitem(sys.modules, name)
            self.context.setitem(sys.modules, self.library, None)

        def __exit__(self, *exc: Any) -> None:
            self.context.undo()

    return Without


@pytest.mark.parametrize("library, make", [("pandas", frame), ("sklearn", estimator), ("numpy", lambda: numpy().arange(3))])
@pytest.mark.slow
def test_library_that_is_not_installed(library: str, make: Any, path: Path, uninstalled: Any) -> None:
    value = make()
    with Store[Any](path, key=THEIRS) as s:
        s["it"] = value
    with uninstalled(library), Store[Any](path, key=THEIRS) as s, pytest.raises(ClassNotFound) as caught:
        s["it"]
    message = str(caught.value)
    found = named(message)
    assert set(found) == {"install"} and f"{library} is not installed" in message and "any more" not in message
    assert library in packages_distributions() and found["install"] in packages_distributions()[library]
    assert is_as_written(path, value, key=THEIRS)


def test_numpy_that_is_not_installed_for_a_record_of_somebody_else(path: Path) -> None:
    """In a process of its own, in which it was never there."""
    numpy()
    with Store[Any](path, key=THEIRS) as s:
        s["it"] = numpy().arange(3)
    program = (
        "import sys, warnings; warnings.simplefilter('ignore'); sys.modules['numpy'] = None; import store\n"
        "try: store.Store(sys.argv[1], key=b'm' * 32)['it']\n"
        "except store.errors.ClassNotFound as exc: print(exc)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, timeout=60, check=True)
    assert "numpy is not installed: pip install numpy; the record is intact" in done.stdout


@pytest.mark.slow
def test_every_library_is_installed_by_that_name() -> None:
    known = packages_distributions()
    for library, distribution in DISTRIBUTIONS.items():
        if library in known:
            assert distribution.lower() in {name.lower() for name in known[library]}


@pytest.mark.slow
def test_no_error_calls_a_record_corrupt_and_intact(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = gone(path, tmp_path, monkeypatch)
    assert "intact" in message and "corrupt" not in message.lower()
    for file, tree in parsed().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Corrupt", "Tampered"):
                assert "intact" not in "".join(texts_of(node)), f"{file}:{node.lineno}"


# -- all of them


@cache
def parsed() -> dict[Path, ast.Module]:
    return {file: ast.parse(file.read_text()) for file in PACKAGE.rglob("*.py")}


def texts_of(tree: ast.AST) -> Iterator[str]:
    """The texts in a piece of code, but for docstrings, which are said to nobody."""
    documentation = {
        id(node.body[0].value) for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body and isinstance(node.body[0], ast.Expr)
    }  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value


WALKED = {
    # Here, and what follows them elsewhere:
    "store/codecs/refusals.py", "store/codecs/pickle/__init__.py", "store/codecs/pickle/based.py", "store/messages/frame.py",
    "store/importers/run.py", "store/values/packing.py", "store/values/unpacking.py",
    "store/opened/key_warnings.py", "store/care/rekey.py",  # tests/integration/test_key_scenarios.py
    "store/trust/keys/file.py", "store/trust/keys/ring.py",  # tests/integration/test_key_scenarios.py
    "store/trust/keys/text.py",  # tests/trust/test_key_files.py
    "store/classes/allowlist.py",  # below
    "store/codecs/protobuf/codec.py",  # tests/codecs/test_protobuf.py
    "store/importers/serialized.py", "store/importers/compressed.py",  # tests/importers/test_redis_places.py
    "store/system/registry.py",  # tests/contracts/test_codec.py: a library that is not installed
    "store/cli/web.py", "store/cli/top/__init__.py",  # tests/cli/test_web.py, test_top.py: an extra that is not installed
    "store/values/remedies.py",  # tests/values/test_culprit_message.py: pip install cloudpickle
}


@pytest.mark.slow
def test_every_message_with_a_remedy_is_walked() -> None:
    """A new one is followed by a test, and named here."""
    kinds = ("allow", "decorator", "admit", "auto", "renames", "placeholder", "install")
    found = set()
    for file, tree in parsed().items():
        said = "\n".join(texts_of(tree))
        if re.search("|".join([*(REMEDIES[kind] for kind in kinds), r"allow=\[", "STORE_KEY_FILE", "pip install"]), said):
            found.add(str(file.relative_to(PACKAGE.parent)))
    assert found == WALKED


def test_remedies_of_wrong_allow() -> None:
    for wrong in ("remedies_of_a_program.Point", Point):
        with pytest.raises(TypeError, match="write allow=") as caught:
            allowlist.allowed(wrong)
        line = re.search(r"write (allow=\[.*\])", str(caught.value))
        assert line is not None
        allowed = allowlist.allowed(eval(line[1].removeprefix("allow="), {"Point": Point}))
        assert allowed["remedies_of_a_program", "Point"] is Point
    with pytest.raises(ValueError, match=r"there is no class of that dotted name here; it names something else"):
        allowlist.allowed(["remedies_of_a_program.make_point"])
    with pytest.raises(ValueError, match=r"write it as module\.Class"):
        allowlist.allowed(["Point"])


def test_every_error_says_what_to_do_without_a_way_that_is_closed() -> None:
    for module, name in (("os", "system"), ("pandas.core.frame", "DataFrame"), ("numpy", "matrix"), ("no.such", "Thing")):
        with pytest.raises((Untrusted, Corrupt)) as caught:
            pickle.loads(f"c{module}\n{name}\n.".encode())
        assert isinstance(caught.value, StoreError) and named(str(caught.value))
