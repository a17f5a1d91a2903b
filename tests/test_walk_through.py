"""`store/README.md` tells how a value is written and read: its links lead to code, and the code runs in that order."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import store

PACKAGE = Path(store.__file__).parent
PAGE = (PACKAGE / "README.md").read_text("utf-8")
LINK = re.compile(r"\[`([\w.]+)`\]\(([\w/]+\.py)\)")
LINKS = sorted(set(LINK.findall(PAGE)))


def defined(tree: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[str]:
    """The dotted names of the functions, classes and constants that a module defines."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from defined(node, f"{prefix}{node.name}.")
        if isinstance(node, ast.Assign):
            yield from (prefix + target.id for target in node.targets if isinstance(target, ast.Name))


def hops(section: str) -> list[tuple[str, str]]:
    """The first link of each numbered step, but for steps that begin with "Only"."""
    steps = re.findall(r"^\d+\. (?!Only)(.*?)(?=^\d+\. |\Z)", section, re.MULTILINE | re.DOTALL)
    return [LINK.findall(step)[0] for step in steps]


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0].rpartition("\n\n")[0] + "\n"


def called(action: Callable[[], Any]) -> list[tuple[str, str]]:
    """The functions of the package that an action calls, in order: (name, file)."""
    seen = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        file = Path(frame.f_code.co_filename)
        if event == "call" and file.is_relative_to(PACKAGE):
            seen.append((frame.f_code.co_qualname, file.relative_to(PACKAGE).as_posix()))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(before)
    return seen


@pytest.mark.parametrize(("name", "file"), LINKS, ids=[name for name, _ in LINKS])
def test_name_is_in_the_file_that_it_links_to(name: str, file: str) -> None:
    assert name in set(defined(ast.parse((PACKAGE / file).read_text("utf-8"))))


def test_steps_of_a_write_happen_in_that_order(path: Path) -> None:
    with store.Store(path) as s:
        s["x"], s["y"] = 0, s.get("x")  # the key is made, and a connection is open
        seen = iter(called(lambda: s.__setitem__("x", [1])))
    wanted = hops(section('What happens in `s["x"] = value`'))
    assert len(wanted) > 4
    assert [hop for hop in wanted if hop not in seen] == []


def test_steps_of_a_read_happen_in_that_order(path: Path) -> None:
    with store.Store(path) as s:
        s["x"] = [1]
    with store.Store(path) as s:
        seen = iter(called(lambda: s["x"]))
    wanted = hops(section('What happens in `s["x"]`'))
    assert len(wanted) > 4
    assert [hop for hop in wanted if hop not in seen] == []
