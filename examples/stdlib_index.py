"""Keeps the syntax tree of every module of the standard library, and parses again only what changed.

    python examples/stdlib_index.py                    # two runs in a temporary directory, which is removed
    python examples/stdlib_index.py index.db           # two runs on a file that is kept
    python examples/stdlib_index.py --limit 100        # the first hundred modules only
    python examples/stdlib_index.py --source src       # the modules below another folder

The modules are those of the Python that runs this, its own tests included (where they are installed: they are
more than half of it), without site-packages: with them some 1,700 trees, together four million objects of a
hundred classes.

Two namespaces of one file: "trees" has the tree of each module, "stamps" what tells whether it is current.
A run reads all the stamps, which are small, and decodes no tree at all.
"""

import argparse
import ast
import contextlib
import os
import platform
import sys
import sysconfig
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from store import Store
from store.errors import NotSerializable

BATCH = 10  # modules for each transaction; trees that wait for it cost memory, and the garbage collector time

Stamp = tuple[int, int, str]  # modified (ns), size, version of Python: trees differ from one to the next


@dataclass
class Run:
    """What one run did."""

    parsed: int = 0
    unchanged: int = 0
    removed: int = 0
    unparsable: int = 0
    too_deep: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.parsed} parsed, {self.unchanged} unchanged, {self.removed} removed, skipped: "
            f"{self.unparsable} that are not valid Python, {self.too_deep} nested too deeply to be pickled; "
            f"{self.seconds:.2f} s"
        )


def find_modules(source: Path) -> Iterator[tuple[str, Path]]:
    """The dotted name and the file of every module below a folder, in order."""
    for folder, subfolders, files in os.walk(source):
        subfolders[:] = sorted(set(subfolders) - {"site-packages", "dist-packages", "__pycache__"})
        for file in sorted(files):
            if file.endswith(".py"):
                path = Path(folder, file)
                parts = path.relative_to(source).with_suffix("").parts
                yield ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts), path


def update(index: Store, modules: dict[str, Path]) -> Run:
    """Bring the index up to date, and say what that took."""
    started = time.perf_counter()
    run = Run()
    with index.within("trees") as trees, index.within("stamps") as stamps:
        known = dict(stamps.items())
        current = {name: stamp_of(path) for name, path in modules.items()}
        changed = [name for name in modules if known.get(name) != current[name]]
        run.unchanged = len(modules) - len(changed)
        with click.progressbar(length=len(changed), label="parsing", file=sys.stderr) as bar:
            for start in range(0, len(changed), BATCH):
                names = changed[start : start + BATCH]
                parsed = [(name, parse(modules[name])) for name in names]
                with index.transaction():
                    for name, tree in parsed:
                        keep(trees, name, tree, run)
                    stamps.update((name, current[name]) for name in names)
                bar.update(len(names))
        run.removed = forget(index, trees, stamps, known.keys() - modules.keys())
    run.seconds = time.perf_counter() - started
    return run


def stamp_of(path: Path) -> Stamp:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, platform.python_version()


def parse(path: Path) -> ast.Module | None:
    """The tree of a module, or None: some of Python's own test data is broken on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the modules, not about this program
        try:
            return ast.parse(path.read_bytes(), filename=str(path))
        except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two: nested too deeply to parse
            return None


def keep(trees: Store, name: str, tree: ast.Module | None, run: Run) -> None:
    """Store a tree; a module that has none now must not keep an old one."""
    if tree is not None:
        try:
            trees[name] = tree
            run.parsed += 1
            return
        except NotSerializable as exc:
            if not isinstance(exc.__cause__, RecursionError):
                raise
            run.too_deep += 1
    else:
        run.unparsable += 1
    trees.delete(name)


def forget(index: Store, trees: Store, stamps: Store, names: set[str]) -> int:
    """Drop the modules that are no longer there."""
    with index.transaction():
        trees.delete_many(names)
        return stamps.delete_many(names)


def show_largest(index: Store, count: int = 5) -> None:
    """One use of the index: metadata finds the largest trees without decoding any, then only those are loaded."""
    with index.within("trees") as trees:
        largest = sorted(trees.records(), key=lambda record: record.size, reverse=True)[:count]
        print(f"{'module':<40} {'classes':>8} {'functions':>10} {'objects':>9} {'bytes':>10} {'loaded in':>10}")
        for record in largest:
            started = time.perf_counter()
            tree = trees[record.name]
            seconds = time.perf_counter() - started
            nodes = list(ast.walk(tree))
            classes = sum(isinstance(node, ast.ClassDef) for node in nodes)
            functions = sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in nodes)
            print(
                f"{record.name:<40.40} {classes:>8} {functions:>10} {len(nodes):>9} {record.size:>10} "
                f"{seconds * 1000:>7.1f} ms"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", nargs="?", help="where the index is kept")
    parser.add_argument("--source", type=Path, default=Path(sysconfig.get_path("stdlib")))
    parser.add_argument("--limit", type=int, help="index so many modules only")
    arguments = parser.parse_args()

    modules = dict(list(find_modules(arguments.source))[: arguments.limit])
    print(f"{len(modules)} modules of Python {platform.python_version()}")
    with contextlib.ExitStack() as stack:
        path = arguments.path or os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), "index.db")
        for order in ("first", "second"):
            with Store(path) as index:  # opened anew, as by another program
                print(f"{order} run: {update(index, modules)}")
        with Store(path, mode="r") as index:
            show_largest(index)
            print(f"{index.stats().file_bytes / 1e6:.1f} MB in {path}")


if __name__ == "__main__":
    main()
