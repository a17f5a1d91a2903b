"""Objects hold their parts: no object reaches into the private attributes of another, nor waits to be subclassed.

Both are found in the source. A private access is `x._name` where `x` is neither `self` nor `cls` nor `super()`, also
where `x` is of the same class. What the standard library spells so is no private name; see ALLOWED.

A method exists to be overridden where a class of the package overrides that of another one, or where it raises
NotImplementedError. Bases from elsewhere and Protocols are contracts, and implementing these is what they are for.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import store

PACKAGE = Path(store.__file__).parent

# Public parts of the standard library that begin with an underscore.
ALLOWED_NAMES = {"_replace", "_make", "_asdict", "_fields", "_getframe"}  # NamedTuple, sys
ALLOWED_MODULES = {"copyreg", "pickle"}
CONSTRUCTORS = {"__init__", "__new__", "__init_subclass__"}

@cache
def sources() -> dict[str, ast.Module]:
    return {str(file.relative_to(PACKAGE)): ast.parse(file.read_text()) for file in sorted(PACKAGE.rglob("*.py"))}


def private_accesses(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not (is_public(node) or is_own(node.value)):
            yield node.lineno, ast.unparse(node)


def is_own(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id == "super"
    return isinstance(value, ast.Name) and value.id in ("self", "cls")


def is_public(node: ast.Attribute) -> bool:
    of_module = isinstance(node.value, ast.Name) and node.value.id in ALLOWED_MODULES
    return not node.attr.startswith("_") or node.attr.startswith("__") or node.attr in ALLOWED_NAMES or of_module


@pytest.mark.slow
def test_no_object_reaches_into_another() -> None:
    found = {file: list(private_accesses(tree)) for file, tree in sources().items()}
    assert {file: accesses for file, accesses in found.items() if accesses} == {}


def methods_to_override(trees: dict[str, ast.Module]) -> Iterator[tuple[str, str]]:
    """The file, and class and method, of each that overrides one of the package, or raises NotImplementedError."""
    classes = [
        (file, node) for file, tree in trees.items() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    ]
    by_name: dict[str, list[tuple[str, ast.ClassDef]]] = {}
    for file, cls in classes:
        by_name.setdefault(cls.name, []).append((file, cls))
    for file, cls in classes:
        for name, method in methods_of(cls).items():
            if "NotImplementedError" in ast.dump(method):
                yield file, f"{cls.name}.{name}"
            for base_file, base in bases_of(cls, by_name):
                if name in methods_of(base) and name not in CONSTRUCTORS:
                    yield file, f"{cls.name}.{name}, of {base.name} in {base_file}"


def bases_of(
    cls: ast.ClassDef, by_name: dict[str, list[tuple[str, ast.ClassDef]]]
) -> Iterator[tuple[str, ast.ClassDef]]:
    for expression in cls.bases:
        name = ast.unparse(expression).partition("[")[0].rpartition(".")[2]
        for file, base in by_name.get(name, []):
            if base is not cls and not is_protocol(base):
                yield file, base
                yield from bases_of(base, by_name)


def is_protocol(cls: ast.ClassDef) -> bool:
    return any(ast.unparse(base).partition("[")[0] == "Protocol" for base in cls.bases)


def methods_of(cls: ast.ClassDef) -> dict[str, ast.AST]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name: node for node in cls.body if isinstance(node, kinds)}


@pytest.mark.slow
def test_no_method_waits_for_a_subclass() -> None:
    assert list(methods_to_override(sources())) == []


@pytest.mark.parametrize(
    "source",
    [
        "other._x",
        "self.part._x = 1",
        "def __eq__(self, other): return self._x == other._x",
        "a().b._x()",
        "type(self)._x",
    ],
)
def test_private_access_is_found(source: str) -> None:
    assert len(list(private_accesses(ast.parse(source)))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "self._x",
        "cls._x",
        "super()._x()",
        "row._replace(a=1)",
        "sys._getframe(1)",
        "copyreg._slotnames(c)",
        "a.__dict__",
    ],
)
def test_access_that_is_not_private_passes(source: str) -> None:
    assert list(private_accesses(ast.parse(source))) == []


@pytest.mark.parametrize(
    "source, found",
    [
        ("class A:\n def f(self): raise NotImplementedError", 1),
        ("class A:\n def f(self): ...\nclass B(A[int]):\n def f(self): ...", 1),
        ("class A:\n def f(self): ...\nclass B(A): ...\nclass C(B):\n async def f(self): ...", 1),
        ("class A(Protocol):\n def f(self): ...\nclass B(A):\n def f(self): ...", 0),
        ("class A:\n def __init__(self): ...\nclass B(A):\n def __init__(self): ...", 0),
        ("class A:\n def f(self): ...\nclass B(A):\n def g(self): ...", 0),
        ("class B(dict):\n def get(self): ...", 0),
    ],
)
def test_method_that_waits_for_a_subclass_is_found(source: str, found: int) -> None:
    assert len(list(methods_to_override({"a.py": ast.parse(source)}))) == found
