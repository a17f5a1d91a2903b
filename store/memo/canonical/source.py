"""The syntax tree of a function, from the text that it was compiled from.

The text in a file need not be the text that runs: somebody may have edited the file since, or a tool changed the
code. So the whole text is compiled again, and its tree counts only if that gives the function's code.
"""

from __future__ import annotations
import __future__

import ast
import linecache
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import CodeType
from typing import Any, NamedTuple

from store.memo.canonical.writer import Writer

Function = ast.FunctionDef | ast.AsyncFunctionDef
FUTURES = 0  # the flags of a code object that say how its text is to be read
for _name in __future__.all_feature_names:
    FUTURES |= getattr(__future__, _name).compiler_flag


class Parsed(NamedTuple):
    """The functions of a text: what they are compiled to, and their trees."""

    codes: dict[tuple[str, int], list[CodeType]]
    trees: dict[tuple[str, int], list[Function]]


def tree_of(code: CodeType, variables: dict[str, Any], form: Callable[[CodeType], bytes]) -> Function | None:
    """The tree of a function that was defined by `def`; None: the text is not there, or it is another one.

    `form` gives what two code objects that do the same have in common.
    """
    name = code.co_filename
    linecache.checkcache(name)
    text = "".join(linecache.getlines(name, variables))
    parsed = _parsed(text, name, code.co_flags & FUTURES) if text else None
    if parsed is None:
        return None
    trees = parsed.trees.get((code.co_name, code.co_firstlineno), [])
    codes = parsed.codes.get((code.co_qualname, code.co_firstlineno), [])
    if len(trees) != 1 or not any(form(one) == form(code) for one in codes):
        return None
    return trees[0]


@lru_cache(maxsize=8)  # of texts: the functions of a module are met one after the other
def _parsed(text: str, name: str, flags: int) -> Parsed | None:
    parsed = Parsed({}, {})
    try:
        tree = compile(text, name, "exec", ast.PyCF_ONLY_AST | flags, dont_inherit=True)
        module = compile(tree, name, "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return None
    for code in nested(module):
        parsed.codes.setdefault((code.co_qualname, code.co_firstlineno), []).append(code)
    for node in ast.walk(tree):
        if isinstance(node, Function):
            line = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            parsed.trees.setdefault((node.name, line), []).append(node)
    return parsed


def nested(code: CodeType) -> Iterator[CodeType]:
    """A code object, and all that are inside of it."""
    ahead = [code]
    while ahead:
        one = ahead.pop()
        yield one
        ahead.extend(const for const in one.co_consts if isinstance(const, CodeType))


def write_tree(writer: Writer, tree: Function) -> None:
    """Appends a tree without positions, docstrings, and what the definition did: decorators and defaults.

    Nodes are written from the outside in, each with the number of its parts; a deep tree takes no deep recursion.
    """
    ahead: list[Any] = [tree]
    while ahead:
        node = ahead.pop()
        if isinstance(node, ast.AST):
            fields = [
                (name, value) for name, value in _fields(node, outermost=node is tree) if value not in (None, [])
            ]
            writer.write((type(node).__name__, *(name for name, _ in fields)))
            ahead.extend(value for _, value in reversed(fields))
        elif isinstance(node, list):
            writer.write((len(node),))
            ahead.extend(reversed(node))
        else:
            writer.write(node)


def _fields(node: ast.AST, *, outermost: bool) -> Iterator[tuple[str, Any]]:
    for name, value in ast.iter_fields(node):
        documented = name == "body" and isinstance(node, Function | ast.ClassDef)
        if documented and ast.get_docstring(node, clean=False) is not None:  # type: ignore[arg-type]
            yield name, value[1:]
        elif outermost and name == "args":
            yield name, ast.arguments(**{**dict(ast.iter_fields(value)), "defaults": [], "kw_defaults": []})
        elif not (outermost and name in ("name", "decorator_list")) and name not in ("kind", "type_comment", "ctx"):
            yield name, value


MUTATORS = frozenset(
    "add append appendleft clear discard extend extendleft insert pop popitem popleft put put_nowait remove reverse "
    "setdefault sort update subtract".split()
)


def changed_names(tree: Function) -> set[str]:
    """Names of variables whose objects the function changes itself: by a method, an item or an attribute."""
    found = set()
    for node in ast.walk(tree):
        target: Any = None
        if isinstance(node, ast.Attribute | ast.Subscript):
            by_method = isinstance(node, ast.Attribute) and node.attr in MUTATORS
            target = node.value if by_method or not isinstance(node.ctx, ast.Load) else None
        while isinstance(target, ast.Attribute | ast.Subscript):
            target = target.value
        if isinstance(target, ast.Name):
            found.add(target.id)
    return found
