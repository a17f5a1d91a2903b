"""The error tree: what each class is, what it carries, and that it survives a trip to another process."""

from __future__ import annotations

import builtins
import copy
import errno
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import store
from store import errors

from store.errors import (  # isort: skip
    ClassNotFound, CodecUnavailable, Conflict, Corrupt, InUse, LockTimeout, NotAStore, NotSerializable,
    OutcomeUnknown, ReadOnly, RecordError, ShardsMismatch, StorageError, StoreClosed, StoreError, StoreNotFound, Tampered,
    UnknownProtocol, Unsupported, Untrusted, label,
)


def tree(cls: type[StoreError] = StoreError) -> Iterator[type[StoreError]]:
    """A class and all below it."""
    yield cls
    for child in cls.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child)


TREE = list(dict.fromkeys(tree()))

PROMISED: dict[type[StoreError], tuple[type[Exception], ...]] = {
    StoreError: (Exception,),
    RecordError: (StoreError,),
    NotSerializable: (RecordError, pickle.PicklingError, TypeError),
    Untrusted: (RecordError, pickle.UnpicklingError),
    Tampered: (RecordError, ValueError),
    Corrupt: (RecordError, pickle.UnpicklingError, ValueError),
    ClassNotFound: (Corrupt,),
    UnknownProtocol: (RecordError, ValueError),
    Conflict: (RecordError, RuntimeError),
    StorageError: (StoreError, OSError),
    StoreNotFound: (StorageError, FileNotFoundError),
    CodecUnavailable: (StoreError, ImportError),
    Unsupported: (StoreError, NotImplementedError),
    InUse: (StoreError, RuntimeError),
    OutcomeUnknown: (StorageError,),
    LockTimeout: (StoreError, TimeoutError),
    ReadOnly: (StoreError, PermissionError),
    StoreClosed: (StoreError, ValueError),
    ShardsMismatch: (StoreError, ValueError),
    NotAStore: (StoreError, ValueError),
}

FACTS = {"engine": "redis", "feature": "backups", "name": "user:1", "namespace": "live", "missing": "mod.User", "codec": "cbor", "protocol": 9,
         "errno": errno.ENOSPC, "path": "/data/app.db", "file": "/data/app.db-spill/1",
         "shards": 4, "reason": "loading it takes 'mod.User'", "allowable": True}  # fmt: skip


def filled(cls: type[StoreError]) -> StoreError:
    """An error with everything on it that it can carry."""
    error = cls("what happened, and what to do", **{field: FACTS[field] for field in cls.evidence})
    error.add_note("one note")
    error.add_note("another")
    return error


def check_same(one: StoreError, other: StoreError) -> None:
    assert type(other) is type(one)
    assert str(other) == str(one) == other.message == one.message
    assert other.args == one.args
    assert other.__notes__ == one.__notes__ == ["one note", "another"]
    for field in one.evidence:
        assert getattr(other, field) == getattr(one, field) == FACTS[field]


def test_tree_has_every_promised_class() -> None:
    assert set(TREE) == set(PROMISED)


@pytest.mark.parametrize("cls", TREE)
def test_error_is_the_builtin_that_callers_catch(cls: type[StoreError]) -> None:
    assert cls.__bases__ == PROMISED[cls]
    for promised in PROMISED[cls]:
        with pytest.raises(promised):
            raise cls("message")


@pytest.mark.parametrize("cls", TREE)
def test_error_with_no_facts(cls: type[StoreError]) -> None:
    error = cls("message")
    assert str(error) == "message"
    assert error.args == ("message",)
    assert "message" in repr(error)
    assert all(getattr(error, field) is None for field in cls.evidence)
    assert str(cls()) == ""


@pytest.mark.parametrize("cls", TREE)
def test_error_refuses_a_fact_that_it_does_not_carry(cls: type[StoreError]) -> None:
    with pytest.raises(TypeError, match=f"{cls.__name__}.* has no attribute colour"):
        cls("message", colour="red")


@pytest.mark.parametrize("cls", TREE)
def test_error_survives_pickling(cls: type[StoreError]) -> None:
    error = filled(cls)
    for protocol in range(6):
        again = pickle.loads(pickle.dumps(error, protocol))
        check_same(error, again)
        check_same(error, pickle.loads(pickle.dumps(again, protocol)))


@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy])
@pytest.mark.parametrize("cls", TREE)
def test_error_survives_copying(cls: type[StoreError], copier: Callable[[StoreError], StoreError]) -> None:
    error = filled(cls)
    check_same(error, copier(error))


@pytest.mark.parametrize("cls", TREE)
def test_notes_of_a_copy_are_its_own(cls: type[StoreError]) -> None:
    error = filled(cls)
    copy.copy(error).add_note("a third")
    assert error.__notes__ == ["one note", "another"]


@pytest.mark.parametrize("cls", TREE)
def test_error_can_be_raised_with_a_cause_and_a_traceback(cls: type[StoreError]) -> None:
    cause = KeyError("deep below")
    with pytest.raises(cls) as caught:
        raise filled(cls) from cause
    assert caught.value.__cause__ is cause
    assert caught.value.with_traceback(None) is caught.value


SEND_AN_ERROR = """
import pickle, store, sys
try:
    store.Store(sys.argv[1], mode="r")
except store.StoreError as exc:
    sys.stdout.buffer.write(pickle.dumps(exc))
"""


def test_error_comes_back_from_another_process(path: Path) -> None:
    missing = str(path.with_name("missing.db"))
    run = subprocess.run([sys.executable, "-c", SEND_AN_ERROR, missing], capture_output=True, timeout=60, check=True)
    error = pickle.loads(run.stdout)
    assert type(error) is StoreNotFound
    assert (error.errno, error.path) == (errno.ENOENT, missing)
    assert missing in str(error)


def test_tree_in_the_docstring_is_the_real_one() -> None:
    assert errors.__doc__ is not None
    drawn = re.findall(r"^    ([│ ├└─]*)([A-Z]\w+)(?: +\(([^)]*)\))?", errors.__doc__, re.MULTILINE)
    parents: list[type[StoreError]] = []
    seen = []
    for indent, name, builtins_ in drawn:
        cls = getattr(errors, name)
        depth = len(indent) // 4
        del parents[depth:]
        named = [part.strip() for part in (builtins_ or "").split(",") if part.strip() and " " not in part.strip()]
        expected = tuple(parents[-1:]) + tuple(
            getattr(builtins, part, None) or getattr(pickle, part) for part in named
        )
        assert cls.__bases__ == (expected or (Exception,))
        parents.append(cls)
        seen.append(cls)
    assert seen == TREE


def test_names_that_the_package_offers() -> None:
    assert set(errors.__all__) == {cls.__name__ for cls in TREE}
    assert store.__all__ == [
        "Store", "ABSENT", "Record", "Placeholder", "allow", "versioned", "destroy", "recover", "restore", "codecs", "errors",
        *errors.__all__,
    ]  # fmt: skip
    for name in store.__all__:
        assert getattr(store, name) is not None
    for name in errors.__all__:
        assert getattr(store, name) is getattr(errors, name)
    assert store.open is not builtins.open  # there, but not for `import *`
    assert "open" not in store.__all__
    assert store.Shelf is store.DbfilenameShelf is store.Store
    public = {name for name in vars(store) if not name.startswith("_")}
    modules = {name for name in public if f"store.{name}" in sys.modules}
    own = {
        "Store", "ABSENT", "Record", "Placeholder", "allow", "versioned", "recover", "restore", "open", "Shelf",
        "DbfilenameShelf", "destroy", "StoreOptions",
    }
    late = {"copy", "reshard", "Settings", "Sessions", "Cache", "AsyncStore", "memoize"}  # where another test has used them
    assert public - modules - late == {*own, *errors.__all__}


def test_star_import_gives_the_public_names() -> None:
    names: dict[str, Any] = {}
    exec("from store import *", names)
    assert set(names) - {"__builtins__"} == set(store.__all__)


# -- about a record


def test_record_error_is_told_its_record_once() -> None:
    error = Corrupt("the bytes are damaged").about("user:1", "live")
    assert (error.name, error.namespace) == ("user:1", "live")
    assert str(error) == "record 'user:1' in namespace 'live': the bytes are damaged"
    assert error.args == (str(error),)
    assert str(error.about("another", "")) == str(error)


def test_label_cuts_long_names_and_shows_what_is_no_name() -> None:
    assert label("x") == "record 'x'"
    assert label("x", "ns") == "record 'x' in namespace 'ns'"
    assert label("n" * 65536) == f"record '{'n' * 77}...'"
    assert len(label("n" * 65536, "m" * 65536)) < 300
    assert label(None) == "record 'None'"  # type: ignore[arg-type]
    assert "\n" not in label("a\nb")
