"""What one Python writes, another one reads, though the standard library has moved classes between them."""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
import standard_values
import worker_classes

import store
from store import Store
from store.classes.allowlist import allowed
from store.codecs.pickle import codec
from store.errors import Corrupt

ROOT = Path(store.__file__).parents[1]
OLDEST, NEWEST = 11, 16
TIMEOUT = 280.0  # seconds
# `re.error("no")`, and a list of a class and one that is missing, as Python 3.13 writes them.
ERROR = b"\x80\x04\x8c\x02re\x8c\x0cPatternError\x93\x8c\x02no\x85R."
GONE = b"\x80\x04(\x8c\x0epathlib._local\x8c\tPosixPath\x93\x8c\x07gone.by\x8c\x01C\x93l."


@cache
def pythons() -> dict[str, str]:
    """Version → executable: this one, those on PATH, and those of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found = [shutil.which(f"python3.{minor}") for minor in range(OLDEST, NEWEST)]
    found += [str(one) for one in sorted(pyenv.glob("3.*/bin/python"))]
    versions = {f"3.{sys.version_info.minor}": sys.executable}
    for one in filter(None, found):
        program = "import sys; print(*sys.version_info[:2], sep='.')"
        done = subprocess.run([one, "-c", program], capture_output=True, text=True, timeout=TIMEOUT, check=False)
        version = done.stdout.strip()
        if done.returncode == 0 and int(version.partition(".")[2]) >= OLDEST:
            versions.setdefault(version, one)
    return versions


def run(python: str, action: str, folder: Path) -> str:
    done = subprocess.run(
        [python, "-W", "ignore", standard_values.__file__, action, str(folder)],
        capture_output=True, text=True, timeout=TIMEOUT, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.heavy
def test_values_of_the_standard_library_are_read_by_each_other_python(tmp_path: Path) -> None:
    if len(pythons()) < 2:
        pytest.skip("NOTHING WAS READ BY ANOTHER PYTHON: none but this one was found, on PATH or of pyenv")
    for version, python in pythons().items():
        (tmp_path / version).mkdir()
        run(python, "write", tmp_path / version)
        assert len(list((tmp_path / version).iterdir())) > 300
    for (writer, _), (reader, python) in itertools.permutations(pythons().items(), 2):
        assert run(python, "read", tmp_path / writer) == "", f"{writer} wrote it, {reader} reads it"


class WrittenBy313:
    """Pickled as Python 3.13 pickles `Path("/a")`, whichever Python this is."""

    def __reduce__(self):
        return sys.modules["pathlib._local"].PosixPath, ("/", "a")


@pytest.fixture
def path_of_313(monkeypatch, path):
    """A store that Python 3.13 has put a path into."""
    module = ModuleType("pathlib._local")
    module.PosixPath = type("PosixPath", (), {"__module__": module.__name__, "__init__": lambda self, *parts: None})
    with monkeypatch.context() as patch, Store(path) as s:
        patch.setitem(sys.modules, module.__name__, module)
        s["a"] = WrittenBy313()
    return path


@pytest.mark.parametrize("options", [{}, {"on_missing": "placeholder"}, {"renames": {"old.Name": "new.Name"}}])
def test_path_that_another_python_wrote_is_read_from_a_store(path_of_313, options):
    with Store(path_of_313, **options) as s:
        assert s["a"] == s["a"] == Path("/a")
    with pytest.warns(match="sealed with a key"):
        other = Store(path_of_313, key=b"another one, so it reads with restraint", **options)
    with other as s:
        assert s["a"] == Path("/a")


def test_name_of_another_python_may_be_allowed_as_the_error_says() -> None:
    for dotted in ("re.error", "re.PatternError"):
        found = codec.decode_restricted(ERROR, allow=allowed([dotted]))
        assert type(found).__name__ in ("error", "PatternError") and found.args == ("no",)


def test_class_that_is_missing_beside_one_that_moved_is_the_one_named() -> None:
    with pytest.raises(Corrupt, match=r"made of 'gone.by.C'"):
        codec.decode(GONE)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.slow
def test_classes_of_a_program_are_stored_by_its_name_in_workers_too(path, method):
    """`__mp_main__`, as a worker calls the program, is nothing to a program without workers."""
    done = subprocess.run(
        [sys.executable, "-W", "error", worker_classes.__file__, method, str(path)],
        capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    with closing(sqlite3.connect(path)) as conn:
        for name, kind, body in conn.execute("SELECT name, type, body FROM records WHERE name <> 'text'"):
            assert b"__mp_main__" not in body, name
            assert kind != "__mp_main__.Point"
    with Store(path) as s:
        assert s["text"] == "__mp_main__"
        assert s.record("point").type == "__main__.Point"


def test_class_that_an_earlier_release_stored_by_its_name_in_a_worker(monkeypatch):
    program = ModuleType("__main__")
    program.WrittenBy313 = WrittenBy313
    monkeypatch.setitem(sys.modules, "__main__", program)
    monkeypatch.delitem(sys.modules, "__mp_main__", raising=False)
    body = b"\x80\x04\x8c\x0b__mp_main__\x8c\x0cWrittenBy313\x93)\x81."
    assert type(codec.decode(body)) is WrittenBy313
    allow = {("__main__", "WrittenBy313"): WrittenBy313}
    assert type(codec.decode_restricted(body, allow=allow)) is WrittenBy313
    with pytest.raises(Corrupt, match=r"__mp_main__\.WrittenBy314"):
        codec.decode(body.replace(b"313", b"314"))
