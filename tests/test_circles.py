"""No module leads back to itself by its imports, whether they run at once, late, or for type checkers alone.

A registry is no import: it knows its entries as text, and what they are is registered from outside as well.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

import pytest

import store

PACKAGE = Path(store.__file__).parent

Graph = dict[str, set[str]]


def graph_of(sources: Mapping[str, str], facades: frozenset[str] = frozenset()) -> Graph:
    """Module → the modules that it imports anywhere. A façade only shows what others hold: it is in no circle."""
    graph: Graph = {}
    for module, source in sources.items():
        if module not in facades:
            graph[module] = {target for target in _imported(ast.parse(source), sources) if target not in facades}
    return graph


def _imported(tree: ast.AST, known: Mapping[str, str]) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                dotted = f"{node.module}.{alias.name}"
                found.add(dotted if dotted in known else str(node.module))
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "late":  # late("module:name", …)
            found.add(str(getattr(node.args[0], "value", "")).partition(":")[0])
    return found & known.keys()


def circles(graph: Graph) -> list[list[str]]:
    """The modules that lead back to themselves, together with those on the way."""
    reached = {module: _reached(graph, module) for module in graph}
    found = {tuple(sorted(other for other in reached[module] if module in reached[other])) for module in graph}
    return sorted(list(circle) for circle in found if circle)


def _reached(graph: Graph, start: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting += graph[module]
    return seen


def package() -> Graph:
    sources, facades = {}, set()
    for file in PACKAGE.rglob("*.py"):
        parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        sources[name] = file.read_text()
        if parts[-1] == "__init__":
            facades.add(name)
    return graph_of(sources, frozenset(facades))


@pytest.mark.slow
def test_no_module_leads_back_to_itself() -> None:
    assert circles(package()) == []


@pytest.mark.parametrize(
    "one, other",
    [
        ("import b", "import a"),
        ("from b import x", "def f():\n    from a import y"),
        ("import b", "if TYPE_CHECKING:\n    from a import y"),
        ("late('b:x')", "import a"),
    ],
)
def test_circle_is_found(one: str, other: str) -> None:
    assert circles(graph_of({"a": one, "b": other, "c": "import a"})) == [["a", "b"]]


def test_way_without_return_is_none() -> None:
    assert circles(graph_of({"a": "import b, c", "b": "import c", "c": ""})) == []


def test_facade_is_in_no_circle() -> None:
    assert circles(graph_of({"a": "from a.b import x", "a.b": "import a"}, frozenset({"a"}))) == []
