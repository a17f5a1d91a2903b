"""What a code object does, apart from where it stands: its digest, and the names that it reads and changes."""

from __future__ import annotations

import dis
import os
import sys
import weakref
from functools import partial
from hashlib import blake2b
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from store.memo.canonical.names import MAIN
from store.memo.canonical.source import MUTATORS, changed_names, nested, tree_of, write_tree
from store.memo.canonical.writer import DIGEST_BYTES, Writer

HAS_DOCSTRING = 0x4000000  # CO_HAS_DOCSTRING of Python 3.14


class CodeFacts(NamedTuple):
    digest: bytes
    reads: frozenset[str]  # global variables
    changes: frozenset[str]  # variables that it sets, or whose objects it changes: its own state, as a counter is


_facts: dict[int, tuple[weakref.ref[CodeType], CodeFacts]] = {}


def facts_of(fn: FunctionType) -> CodeFacts:
    """What is known of a function's code; found out once for each code object."""
    code = fn.__code__
    known = _facts.get(id(code))
    if known is not None and known[0]() is code:
        return known[1]
    tree = tree_of(code, fn.__globals__, bare_form)
    lasting = tree is not None and _is_imported_alike(fn)
    reads, changes = _names(code)
    if tree is not None:
        changes |= changed_names(tree)
    facts = CodeFacts(_digest(code, tree if lasting else None), frozenset(reads), frozenset(changes))
    _facts[id(code)] = weakref.ref(code, partial(_forget, id(code))), facts
    return facts


def _is_imported_alike(fn: FunctionType) -> bool:
    """Whether every process has the text: of programs, notebooks and closures, workers are sent the code alone."""
    file = fn.__code__.co_filename
    is_sent = fn.__globals__.get("__name__") in MAIN or "<locals>" in fn.__code__.co_qualname
    return not is_sent and os.path.isabs(file) and os.path.isfile(file)


def _forget(key: int, _: Any) -> None:
    _facts.pop(key, None)


def bare_form(code: CodeType) -> bytes:
    """What two code objects that do the same have in common: no file names, line numbers or docstrings."""
    writer = Writer(bytearray(), ())
    for one in nested(code):
        steps = [(step.opcode, _operand(one, step)) for step in dis.get_instructions(one)]
        writer.write((
            None if one is code else one.co_name, one.co_names, one.co_varnames, one.co_freevars, one.co_cellvars,
            one.co_flags & ~HAS_DOCSTRING, one.co_argcount, one.co_posonlyargcount, one.co_kwonlyargcount,
            one.co_exceptiontable, steps,
        ))  # fmt: skip
    return bytes(writer.out)


def _operand(code: CodeType, step: dis.Instruction) -> Any:
    """A constant as such, since its number depends on whether there is a docstring."""
    if step.opcode not in dis.hasconst or step.opname == "LOAD_SMALL_INT" or step.arg is None:
        return step.arg
    const = code.co_consts[step.arg]
    return ("code", const.co_name) if isinstance(const, CodeType) else ("const", const)


def _digest(code: CodeType, tree: Any) -> bytes:
    writer = Writer(bytearray(), ())
    if tree is not None:
        write_tree(writer, tree)
    else:
        writer.write(("code", *sys.version_info[:2], bare_form(code)))
    return blake2b(writer.out, digest_size=DIGEST_BYTES).digest()


def _names(code: CodeType) -> tuple[set[str], set[str]]:
    """Global variables that are read, and variables that are set or changed by a method."""
    reads: set[str] = set()
    changes: set[str] = set()
    for one in nested(code):
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
