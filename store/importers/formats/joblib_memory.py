"""Folders of `joblib.Memory`: the results of functions. https://joblib.readthedocs.io/en/stable/memory.html

A result is a file of `joblib.dump` at `module/function/hash of the arguments/output.pkl`, where a module's dots are
folders. The record's name is that path without the file, "module/function/hash". `call_and_shelve` of the function
returns an object with both parts: `f"{result.func_id}/{result.args_id}"`. Arguments and code are not imported.

Plain values and arrays of plain dtypes are decoded restricted, without joblib; other classes need `allow`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator

from store.errors import StorageError
from store.importers.compressed import FAILURES, MAX_BYTES, expand
from store.importers.contract import Found
from store.importers.files import beneath, names_in

RESULT = "output.pkl"
SUBFOLDER = "joblib"  # of a location that is given as a str
MAX_DEPTH = 64
"""How deep folders may be nested; a module's path has a folder for each of its dots."""
_CODE = "func_code.py"
_HASH = re.compile(r"[0-9a-f]{32}")  # MD5 of the arguments


class JoblibMemoryImporter:
    """Reads the location of a `Memory`, or the folder `joblib` in it."""

    name = "joblib-memory"

    def recognises(self, path: str) -> bool:
        if not os.path.isdir(path):
            return False
        base, has_files = _base(path), False
        for at, names, _ in _folders(base):
            if {RESULT, _CODE} & set(names):
                return True
            shown = (name for name in names if not name.startswith("."))
            has_files = has_files or not all(os.path.isdir(os.path.join(base, at, name)) for name in shown)
        return not has_files  # functions that were never called have empty folders

    def read(self, path: str, *, table: str | None = None) -> Generator[Found]:
        base = _base(path)
        for name, names, problem in _folders(base):
            if problem:
                yield Found(name, problem=problem)
            elif _is_of_result(name):
                yield _found(base, name, names)


def _base(path: str) -> str:
    """The folder with the modules: it is one deeper where the location was given as a str."""
    below = os.path.join(path, SUBFOLDER)
    return below if _shown(path) == [SUBFOLDER] and os.path.isdir(below) and not os.path.islink(below) else path


def _shown(folder: str) -> list[str]:
    return [name for name in names_in(folder) if not name.startswith(".")]  # joblib adds a .gitignore


def _is_of_result(name: str) -> bool:
    return _HASH.fullmatch(name.rpartition("/")[2]) is not None


def _folders(base: str) -> Iterator[tuple[str, list[str], str]]:
    """Each folder, with "/" between its parts, what is in it, and why it is not read; empty: it is read."""
    left = [""]
    while left:
        at = left.pop()
        where = os.path.join(base, at)
        if os.path.islink(where) and at:
            yield at, [], "it is a link, which is not followed"
            continue
        if at.count("/") >= MAX_DEPTH:
            yield at, [], f"it is nested more than {MAX_DEPTH} folders deep"
            continue
        try:
            names = names_in(where)
        except StorageError as exc:
            yield at, [], str(exc)
            continue
        yield at, names, ""
        if not _is_of_result(at):
            below = (f"{at}/{name}" if at else name for name in reversed(names))
            left += [name for name in below if os.path.isdir(os.path.join(base, name))]


def _found(base: str, name: str, names: list[str]) -> Found:
    if RESULT not in names:
        return Found(name, problem=f"it has no {RESULT}: the function had not returned", skipped=True)
    try:
        return Found(name, expand(beneath(base, f"{name}/{RESULT}"), MAX_BYTES), "joblib")
    except FAILURES as exc:
        return Found(name, problem=f"its result cannot be read: {exc}")


importer = JoblibMemoryImporter()
