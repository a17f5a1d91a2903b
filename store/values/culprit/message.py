"""What is said about a part that cannot be encoded: what is wrong with it, and what to do.

Pickle's own texts differ between versions of Python and hold addresses; these are one per situation.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from types import (
    CellType,
    CodeType,
    MappingProxyType,
    ModuleType,
    TracebackType,
)
from typing import Any, NamedTuple

from store.codecs.not_read_back import NotReadBack
from store.errors import NotSerializable
from store.values.culprit.parts import importable, is_global, is_users, own_method

MOST_PATH = 200  # characters of a path in a message
MOST_TEXT = 300  # of another's error
BY_VALUE = ("cloudpickle", "dill")
# What the codec cloudpickle holds, beside functions and classes, and pickle does not.
HELD: tuple[type, ...] = (
    CellType, CodeType, MappingProxyType, classmethod, memoryview, property, staticmethod,
    type({}.keys()), type({}.values()), type({}.items()),
)  # fmt: skip
_METHODS = ("__getstate__", "__reduce__", "__reduce_ex__", "__getnewargs__", "__getnewargs_ex__")
_NO_NAME = re.compile(r"not found as|attribute lookup|not the same object|local object|import of module|No module")
_CANNOT = re.compile(r"(?:cannot|can't) (?:pickle|serialize) '?([\w.]+)'? (?:object|instance)", re.IGNORECASE)
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class Culprit(NamedTuple):
    """A part that cannot be encoded: where it is, itself, and what encoding just it raised.

    `holder` is the class nearest above it that is the program's own, if there is one.
    """

    path: str
    value: Any
    error: Exception
    holder: type | None = None


def explain(culprit: Culprit) -> str:
    """What cannot be encoded and why: `value['conn'].pool[3].socket: cannot pickle 'socket' object`."""
    path = culprit.path
    if len(path) > MOST_PATH:
        path = f"{path[: MOST_PATH // 2]}…{path[-MOST_PATH // 2 :]}"
    return f"{path}: {_reason(culprit)}"


def remedy(culprit: Culprit, codec_name: str, installed: Callable[[str], bool]) -> str:
    """What to do about it, in one clause."""
    value, error = culprit.value, _cause(culprit.error)
    if isinstance(error, NotReadBack):
        return error.remedy or _way_back(type(value), error.why)
    if too_deep(error):
        return "make it flatter, or store its parts as records of their own"
    if issubclass(type(value), ModuleType):
        return "store its name, and import it after reading"
    if (_nameless(value, error) or type(value) in HELD) and codec_name not in BY_VALUE:
        install = "" if installed("cloudpickle") else " (pip install cloudpickle)"
        return f"use the codec 'cloudpickle'{install}"
    if "__slots__ without defining __getstate__" in _text_of(error):
        return f"use protocol 2 or later, or give {_name_of(type(value))} a __getstate__"
    method = _failed_method(value, error)
    if method is not None and not _refused(value, error):
        return f"correct {_name_of(type(value))}.{method}"
    return _leave_out(culprit)


def too_deep(error: BaseException | None) -> bool:
    """Whether an encoder gave up because of the depth."""
    while error is not None and not isinstance(error, RecursionError):
        error = error.__cause__
    return error is not None


def _reason(culprit: Culprit) -> str:
    value, error = culprit.value, _cause(culprit.error)
    if isinstance(error, NotReadBack):
        return f"{_name_of(type(value))} {error.text}"
    if too_deep(error):
        return "nests too deep to be encoded"
    if issubclass(type(value), ModuleType):
        return f"cannot pickle the module {_name_in(value, '__name__')!r}"
    if _nameless(value, error):
        return _without_name(value)
    if _refused(value, error):
        return f"cannot pickle {type(value).__name__!r} object"
    method = _failed_method(value, error)
    if method is not None:
        return f"its {method} raised {_described(error)}"
    return _described(error)


def _cause(error: BaseException) -> BaseException:
    """What the encoder itself raised, without the codec's wrapping."""
    while isinstance(error, NotSerializable) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _described(error: BaseException) -> str:
    text = _ADDRESS.sub("", _text_of(error))[:MOST_TEXT]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _refused(value: Any, error: BaseException) -> bool:
    """Whether the encoder said that objects of this class are none it can hold."""
    named = _CANNOT.search(_text_of(error))
    if named is not None:
        return named[1].rpartition(".")[2] == type(value).__name__
    # Protocols 0 and 1 have other words: for a class of C code, and for one derived from it.
    by_class = f"<class '{_name_of(type(value))}'>" in _text_of(error) and bool(_NO_NAME.search(_text_of(error)))
    by_base = _raised_in("_reduce_ex", value, error) and _failed_method(value, error) is None
    return by_class or (by_base and "__slots__" not in _text_of(error))


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # a class of the program's own
        return ""


def _nameless(value: Any, error: BaseException) -> bool:
    """Whether it is a function or class that was refused for its name."""
    return is_global(value) and not importable(value) and bool(_NO_NAME.search(_text_of(error)))


def _without_name(value: Any) -> str:
    kind = "class" if issubclass(type(value), type) else "function"
    name = str(_name_in(value, "__qualname__"))
    if "<" in name:
        return f"cannot pickle the {kind} {name!r}, it has no name that could be imported"
    return f"cannot pickle the {kind} {name!r}, it is not what '{_name_in(value, '__module__')}.{name}' leads to"


def _name_in(value: Any, attribute: str) -> Any:
    return getattr(value, attribute, "?")


def _name_of(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _failed_method(value: Any, error: BaseException) -> str | None:
    """The method of the object's own, called for its state, that the error came out of."""
    return next((name for name in _METHODS if _raised_in(name, value, error)), None)


def _raised_in(name: str, value: Any, error: BaseException) -> bool:
    """Whether the error came out of a function of that name that had the object as its first argument."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_name == name and code.co_argcount and trace.tb_frame.f_locals.get(code.co_varnames[0]) is value:
            return True
        trace = trace.tb_next
    return False


def _way_back(cls: type, why: Exception | None) -> str:
    """What to do about a class that is written and not read back."""
    if not is_users(cls):
        return "store what it can be made from instead"
    name = _name_of(cls)
    if isinstance(why, RecursionError) and own_method(cls, "__getattr__"):
        return f"let {name}.__getattr__ raise AttributeError for names that begin with '__': it is asked too early"
    hashed = _hashed_early(why)
    if hashed is not None:
        return (
            f"give {_name_of(hashed)} a __reduce__ whose arguments are what its __hash__ needs: it is asked too early"
        )
    return f"give {name} a __reduce__ that returns (type(self), the arguments to make it with)"


def _hashed_early(error: Exception | None) -> type | None:
    """The class whose `__hash__` the error came out of."""
    trace = None if error is None else error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_name == "__hash__" and code.co_argcount:
            return type(trace.tb_frame.f_locals.get(code.co_varnames[0]))
        trace = trace.tb_next
    return None


def _leave_out(culprit: Culprit) -> str:
    holder = culprit.holder
    if holder is not None:
        name = _name_of(holder)
        for method in ("__reduce_ex__", "__reduce__", "__getstate__"):
            if method in vars(holder):
                return f"leave it out: change {name}.{method}"
        return f"leave it out: give {name} a {'__reduce__' if issubclass(holder, BaseException) else '__getstate__'}"
    if culprit.path == "value":
        return "store what it can be made from instead"
    return "take it out of the value"
