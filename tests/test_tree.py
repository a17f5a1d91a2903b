"""The tree shows the architecture: few parts, each with a page, and files of a readable length.

That the imports go down and lead nowhere back is in `test_layers.py` and `test_circles.py`.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

import store

PACKAGE = Path(store.__file__).parent
FILES = sorted(str(file.relative_to(PACKAGE)) for file in PACKAGE.rglob("*.py"))
FOLDERS = sorted({str(Path(file).parent) for file in FILES})
NO_PARTS = {"__init__.py", "__main__.py", "__pycache__", "py.typed", "README.md"}

PARTS = 26  # as many as one takes in at a glance
PAGE_LINES = 20
LONG = 300  # lines of a file, over which its docstring gives the reason
REASON = "one file because"
MANY = 3  # files of one prefix, which a folder could say


def lacks_reason(source: str) -> bool:
    """Whether a source is long, and its docstring does not say why."""
    reason = " ".join((ast.get_docstring(ast.parse(source)) or "").lower().split())
    return len(source.splitlines()) > LONG and REASON not in reason


def frequent_prefixes(stems: Iterable[str]) -> set[str]:
    """The first words that many names of one folder share; a name that is only that word counts."""
    counted = Counter(stem.partition("_")[0] for stem in stems if not stem.startswith("_"))
    return {prefix for prefix, number in counted.items() if number >= MANY}


def test_package_has_few_parts() -> None:
    parts = {entry.name for entry in PACKAGE.iterdir()} - NO_PARTS
    assert len(parts) <= PARTS, sorted(parts)


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if len(Path(folder).parts) == 1])
def test_each_part_has_a_page(folder: str) -> None:
    page = (PACKAGE / folder / "README.md").read_text("utf-8")
    assert len(page.splitlines()) >= PAGE_LINES


def test_long_files_say_why() -> None:
    unexplained = [file for file in FILES if lacks_reason((PACKAGE / file).read_text("utf-8"))]
    assert unexplained == [], f"over {LONG} lines: split it by what it holds, or say in its docstring: One file because …"


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_prefix_that_a_folder_could_say(folder: str) -> None:
    assert frequent_prefixes(file.stem for file in (PACKAGE / folder).glob("*.py")) == set()


def test_long_file_without_a_reason_is_found() -> None:
    long = "x = 1\n" * LONG
    assert lacks_reason(f'"""What it holds."""\n{long}')
    assert lacks_reason(f"# One file because of a comment\n{long}")
    assert not lacks_reason(f'"""What it holds.\n\nOne file\nbecause its parts are one state.\n"""\n{long}')
    assert not lacks_reason('"""What it holds."""\n' + "x = 1\n" * (LONG - 1))


def test_prefix_is_found() -> None:
    assert frequent_prefixes(["log", "log_files", "log_locks", "pool", "_log"]) == {"log"}
    assert frequent_prefixes(["log_files", "log_locks", "logs", "pool"]) == set()
    assert frequent_prefixes(["__init__", "__main__", "_private", "_other"]) == set()
