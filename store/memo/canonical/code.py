"""What a code object does, apart from where it stands: its digest, and the names that it reads and changes.

The digest is of the function's syntax tree where every process has its text, else of the bytecode. The text in a file
need not be the text that runs: the file may have been edited since, or a tool may have changed the code. So the whole
text is compiled again, and its tree counts only if that gives the function's code.
"""

from __future__ import annotations
import __future__

import ast
import dis
import linecache
import os
import sys
import weakref
from collections.abc import Iterator
from functools import lru_cache, partial
from hashlib import blake2b
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from store.memo.canonical.names import MAIN
from store.memo.canonical.writer import DIGEST_BYTES, Writer

HAS_DOCSTRING = 0x4000000  # CO_HAS_DOCSTRING of Python 3.14
FUTURES = 0  # the flags of a code object that say how its text is to be read
for _name in __future__.all_feature_names:
    FUTURES |= getattr(__future__, _name).compiler_flag
MUTATORS = frozenset(
    "add append appendleft clear discard extend extendleft insert pop popitem popleft put put_nowait remove reverse "
    "setdefault sort update subtract".split()
)
Function = ast.FunctionDef | ast.AsyncFunctionDef


class CodeFacts(NamedTuple):
    digest: bytes
    reads: frozenset[str]  # global variables
    changes: frozenset[str]  # variables that it sets, or whose objects it changes: its own state, as a counter is


_facts: dict[int, tuple[weakref.ref[CodeType], CodeFacts]] = {}


def facts_of(fn: FunctionType) -> CodeFacts:
    """The facts about a function's code, found once for each code object."""
    code = fn.__code__
    known = _facts.get(id(code))
    if known is not None and known[0]() is code:
        return known[1]
    tree = _tree_of(code, fn.__globals__)
    reads, changes = _names(code)
    if tree is not None:
        changes |= _changed_names(tree)
    facts = CodeFacts(_digest(code, tree if _is_imported_alike(fn) else None), frozenset(reads), frozenset(changes))
    _facts[id(code)] = weakref.ref(code, partial(_forget, id(code))), facts
    return facts


def _forget(key: int, _: Any) -> None:
    _facts.pop(key, None)


def _is_imported_alike(fn: FunctionType) -> bool:
    """Whether every process has the text: of programs, notebooks and closures, workers are sent the code alone."""
    file = fn.__code__.co_filename
    is_sent = fn.__globals__.get("__name__") in MAIN or "<locals>" in fn.__code__.co_qualname
    return not is_sent and os.path.isabs(file) and os.path.isfile(file)


def _digest(code: CodeType, tree: Function | None) -> bytes:
    writer = Writer()
    if tree is not None:
        _write_tree(writer, tree)
    else:
        writer.write(("code", *sys.version_info[:2], bare_form(code)))
    return blake2b(writer.out, digest_size=DIGEST_BYTES).digest()


# -- bytecode


def bare_form(code: CodeType) -> bytes:
    """Bytes that are equal for two code objects that do the same: no file names, line numbers or docstrings."""
    writer = Writer()
    for one in _nested(code):
        steps = [(step.opcode, _operand(one, step)) for step in dis.get_instructions(one)]
        writer.write((
            None if one is code else one.co_name, one.co_names, one.co_varnames, one.co_freevars, one.co_cellvars,
            one.co_flags & ~HAS_DOCSTRING, one.co_argcount, one.co_posonlyargcount, one.co_kwonlyargcount,
            one.co_exceptiontable, steps,
        ))  # fmt: skip
    return bytes(writer.out)


def _operand(code: CodeType, step: dis.Instruction) -> Any:
    """A constant itself, since its number depends on whether there is a docstring."""
    if step.opcode not in dis.hasconst or step.opname == "LOAD_SMALL_INT" or step.arg is None:
        return step.arg
    const = code.co_consts[step.arg]
    return ("code", const.co_name) if isinstance(const, CodeType) else ("const", const)


def _nested(code: CodeType) -> Iterator[CodeType]:
    """A code object, and all that are inside of it."""
    ahead = [code]
    while ahead:
        one = ahead.pop()
        yield one
        ahead.extend(const for const in one.co_consts if isinstance(const, CodeType))


def _names(code: CodeType) -> tuple[set[str], set[str]]:
    """Global variables that are read, and variables that are set or changed by a method."""
    reads: set[str] = set()
    changes: set[str] = set()
    for one in _nested(code):
        last: Any = None
        for step in dis.get_instructions(one):
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                reads.add(step.argval)
            elif step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
                changes.add(step.argval)
            elif step.opname in ("STORE_DEREF", "DELETE_DEREF"):
                if step.argval in one.co_freevars:
                    changes.add(step.argval)
            elif step.opname in ("LOAD_METHOD", "LOAD_ATTR") and step.argval in MUTATORS and last is not None:
                changes.add(last)
            last = step.argval if step.opname in ("LOAD_DEREF", "LOAD_GLOBAL") else None
    return reads, changes


# -- the syntax tree


class _Parsed(NamedTuple):
    """The functions of a text by name and first line: their code objects, and their trees."""

    codes: dict[tuple[str, int], list[CodeType]]
    trees: dict[tuple[str, int], list[Function]]


def _tree_of(code: CodeType, variables: dict[str, Any]) -> Function | None:
    """The tree of a function that was defined by `def`; None: there is no text, or it is of another function."""
    name = code.co_filename
    linecache.checkcache(name)
    text = "".join(linecache.getlines(name, variables))
    parsed = _parsed(text, name, code.co_flags & FUTURES) if text else None
    if parsed is None:
        return None
    trees = parsed.trees.get((code.co_name, code.co_firstlineno), [])
    codes = parsed.codes.get((code.co_qualname, code.co_firstlineno), [])
    return trees[0] if len(trees) == 1 and any(bare_form(one) == bare_form(code) for one in codes) else None


@lru_cache(maxsize=8)  # texts: the functions of one module come one after the other
def _parsed(text: str, name: str, flags: int) -> _Parsed | None:
    parsed = _Parsed({}, {})
    try:
        tree = compile(text, name, "exec", ast.PyCF_ONLY_AST | flags, dont_inherit=True)
        module = compile(tree, name, "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return None
    for code in _nested(module):
        parsed.codes.setdefault((code.co_qualname, code.co_firstlineno), []).append(code)
    for node in ast.walk(tree):
        if isinstance(node, Function):
            line = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            parsed.trees.setdefault((node.name, line), []).append(node)
    return parsed


def _write_tree(writer: Writer, tree: Function) -> None:
    """Write a tree without positions, docstrings, and the decorators and defaults of its definition.

    Nodes are written from the outside in, each with the number of its parts; a deep tree takes no deep recursion.
    """
    ahead: list[Any] = [tree]
    while ahead:
        node = ahead.pop()
        if isinstance(node, ast.AST):
            fields = [field for field in _fields(node, outermost=node is tree) if field[1] not in (None, [])]
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


def _changed_names(tree: Function) -> set[str]:
    """Variables whose objects the function changes itself: by a method, an item or an attribute."""
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
