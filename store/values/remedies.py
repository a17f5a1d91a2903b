"""The messages about a part that cannot be stored: the reason and the remedy.

The messages of pickle differ between versions of Python and contain addresses; these do not.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from collections.abc import Callable, Iterator
from types import CellType, CodeType, FrameType, FunctionType, MappingProxyType, ModuleType
from typing import Any, NamedTuple

from store.classes.attributes import defined
from store.codecs.contract import NotReadBack
from store.errors import NotSerializable

MOST_PATH = 200  # characters of a path in a message
MOST_TEXT = 300  # characters of a quoted error
BY_VALUE = ("cloudpickle", "dill")
# Types besides functions and classes that cloudpickle can store and pickle cannot.
HELD: tuple[type, ...] = (
    CellType, CodeType, MappingProxyType, classmethod, memoryview, property, staticmethod,
    type({}.keys()), type({}.values()), type({}.items()),
)  # fmt: skip
_METHODS = ("__getstate__", "__reduce__", "__reduce_ex__", "__getnewargs__", "__getnewargs_ex__")
_NO_NAME = re.compile(r"not found as|attribute lookup|not the same object|local object|import of module|No module")
_CANNOT = re.compile(r"(?:cannot|can't) (?:pickle|serialize) '?([\w.]+)'? (?:object|instance)", re.IGNORECASE)
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class statement made it
_INSTALLED = frozenset({"site-packages", "dist-packages"})


class Culprit(NamedTuple):
    """A part that cannot be stored: its path, the part itself, and the error of storing it alone.

    `holder` is the class of the nearest enclosing object of the program, if there is one.
    """

    path: str
    value: Any
    error: Exception
    holder: type | None = None


def explain(culprit: Culprit) -> str:
    """The path and the reason: `value['conn'].pool[3].socket: cannot pickle 'socket' object`."""
    path = culprit.path
    if len(path) > MOST_PATH:
        path = f"{path[: MOST_PATH // 2]}…{path[-MOST_PATH // 2 :]}"
    return f"{path}: {_reason(culprit)}"


def remedy(culprit: Culprit, codec_name: str, installed: Callable[[str], bool]) -> str:
    """The remedy, in one clause."""
    value, error = culprit.value, cause_of(culprit.error)
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
    """Whether an encoder failed because the value nests too deep."""
    while error is not None and not isinstance(error, RecursionError):
        error = error.__cause__
    return error is not None


def _reason(culprit: Culprit) -> str:
    value, error = culprit.value, cause_of(culprit.error)
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


def cause_of(error: Any) -> Any:
    """The error of the encoder, without the codec's wrapping."""
    while isinstance(error, NotSerializable) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _described(error: BaseException) -> str:
    text = _ADDRESS.sub("", _text_of(error))[:MOST_TEXT]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _refused(value: Any, error: BaseException) -> bool:
    """Whether the encoder reported that it cannot hold objects of this class."""
    named = _CANNOT.search(_text_of(error))
    if named is not None:
        return named[1].rpartition(".")[2] == type(value).__name__
    # Protocols 0 and 1 have other messages for C classes and their subclasses.
    by_class = f"<class '{_name_of(type(value))}'>" in _text_of(error) and bool(_NO_NAME.search(_text_of(error)))
    by_base = _raised_in("_reduce_ex", value, error) and _failed_method(value, error) is None
    return by_class or (by_base and "__slots__" not in _text_of(error))


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # a class of the program's own
        return ""


def _nameless(value: Any, error: BaseException) -> bool:
    """Whether it is a function or class that cannot be found by its name. Does not call its `__class__`."""
    if not issubclass(type(value), FunctionType | type) or not _NO_NAME.search(_text_of(error)):
        return False
    try:
        found: Any = sys.modules[value.__module__]
        for name in value.__qualname__.split("."):
            found = getattr(found, name)
    except Exception:
        return True
    return found is not value


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
    """The pickling method of the object that raised the error."""
    return next((name for name in _METHODS if _raised_in(name, value, error)), None)


def _raised_in(name: str, value: Any, error: BaseException) -> bool:
    """Whether a function of that name whose first argument is the object raised the error."""
    return any(self is value for self in _first_arguments(name, error))


def _first_arguments(name: str, error: BaseException | None) -> Iterator[Any]:
    """The first argument of each function of that name in the traceback."""
    trace = None if error is None else error.__traceback__
    while trace is not None:
        frame: FrameType = trace.tb_frame
        code = frame.f_code
        if code.co_name == name and code.co_argcount:
            yield frame.f_locals.get(code.co_varnames[0])
        trace = trace.tb_next


def _way_back(cls: type, why: Exception | None) -> str:
    """The remedy for a class that can be written but not read back."""
    if not is_users(cls):
        return "store what it can be made from instead"
    name = _name_of(cls)
    if isinstance(why, RecursionError) and defined(cls, "__getattr__") is not None:
        return f"let {name}.__getattr__ raise AttributeError for names that begin with '__': it is asked too early"
    for hashed in _first_arguments("__hash__", why):
        other = _name_of(type(hashed))
        return f"give {other} a __reduce__ whose arguments are what its __hash__ needs: it is asked too early"
    return f"give {name} a __reduce__ that returns (type(self), the arguments to make it with)"


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


def is_users(cls: type) -> bool:
    """Whether a class belongs to the program: a Python class, neither of the standard library nor installed."""
    module = cls.__module__
    if type(module) is not str or not cls.__flags__ & _HEAP_TYPE:
        return False
    if module.partition(".")[0] in sys.stdlib_module_names:
        return False
    file = str(getattr(sys.modules.get(module), "__file__", None))
    if not _INSTALLED.isdisjoint(file.split(os.sep)):  # of this environment, or of its base environment
        return False
    return not file.startswith(tuple(sysconfig.get_paths()[kind] for kind in ("purelib", "platlib")))
