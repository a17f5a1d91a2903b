"""Exceptions in foreign records: adds the checks that their C types lack, and drops what is unsafe to show.

`traceback` imports the module that an `ImportError` names to look for the name in `name_from` (3.12), lists the
attributes of the `obj` of an `AttributeError`, and writes as many carets as a `SyntaxError` says.
"""

from __future__ import annotations

from typing import Any

from store.classes.attributes import defined, own_dict
from store.codecs.restricted.limits import Budget
from store.errors import Corrupt

MAX_OFFSET = 10_000  # of a SyntaxError in its line
MAX_LINE_NUMBER = 1 << 31
_TEXTS = {  # class → fields of its C type that are str or None
    ImportError: ("name", "path"), NameError: ("name",), AttributeError: ("name",), SyntaxError: ("filename", "text"),
}  # fmt: skip
_FIELDS = (*_TEXTS, OSError, UnicodeError, StopIteration, SystemExit, BaseExceptionGroup)


def safe_arguments(cls: type, args: tuple[Any, ...], budget: Budget) -> tuple[Any, ...]:
    """The arguments of an exception, without those that make its traceback endless. Raises: Corrupt."""
    if issubclass(cls, UnicodeError):  # printing it with a negative position reads memory before the text
        _require(all(number >= 0 for number in args if isinstance(number, int)), "UnicodeError")
    if issubclass(cls, BaseExceptionGroup):  # accepts any sequence, even a range of billions
        _require(all(type(arg) in (str, list, tuple) for arg in args), "ExceptionGroup")
    if issubclass(cls, OSError) and args:  # its number is looked up in a dict
        budget.charge_arguments(args[:1])
        _require(isinstance(args[0], str | int | None) or len(args) < 2, "OSError")
    if issubclass(cls, SyntaxError) and len(args) > 1:
        return args[0], _place(args[1]), *args[2:]
    return args


def _place(place: Any) -> Any:
    """(file, line, offset, text, end line, end offset) of a SyntaxError, with numbers of sensible size."""
    if type(place) not in (tuple, list):
        return place  # the class raises its own error
    _require(len(place) <= 7, "SyntaxError")
    file, text = place[0:1], place[3:4]
    _require(all(type(part) in (str, bytes, type(None)) for part in (*file, *text)), "SyntaxError")
    numbers = {1: MAX_LINE_NUMBER, 2: MAX_OFFSET, 4: MAX_LINE_NUMBER, 5: MAX_OFFSET}
    return tuple(
        part if index not in numbers or (type(part) is int and -2 < part <= numbers[index]) else None
        for index, part in enumerate(place[:6])  # 3.14 adds the source, or a path to it
    )


def set_state(target: BaseException, state: dict[str, Any]) -> None:
    """Set the attributes in the state of an exception, except those that are unsafe to show. Raises: Corrupt."""
    own = own_dict(target)
    if own is None:
        raise Corrupt("an exception in it has no attributes")
    for name, value in state.items():
        if name == "__notes__":
            if type(value) is list:  # any other type is iterated, even a range of billions
                own[name] = value
        elif name.startswith("__"):
            raise Corrupt("it sets a special attribute of an exception")
        elif name in _fields_of(type(target)):
            _set_field(target, name, value)
        else:
            own[name] = value


def _fields_of(cls: type) -> set[str]:
    """The fields that C types keep outside of `__dict__`, in all Pythons."""
    found = {"args"}
    for base in _FIELDS:
        if issubclass(cls, base):
            found.update(name for name in vars(base) if not name.startswith("__") and not callable(vars(base)[name]))
    if issubclass(cls, ImportError):
        found.add("name_from")  # 3.12
    if issubclass(cls, SyntaxError):
        found.add("_metadata")  # 3.14
    return found


def _set_field(target: BaseException, name: str, value: Any) -> None:
    """Set a field that pickles of exceptions hold; the other fields come from the arguments and are dropped here."""
    if name == "args":
        if type(value) is not tuple:  # it accepts any sequence, even a range of billions
            raise Corrupt("an exception's arguments are not a tuple")
        BaseException.args.__set__(target, value)  # type: ignore[attr-defined]
        return
    for base in (ImportError, NameError, AttributeError, SyntaxError):
        if isinstance(target, base) and name in ("name", "path", "msg") and name in vars(base):
            if name in _TEXTS[base] and type(value) not in (str, type(None)):
                raise Corrupt(f"the {name} of an exception is no text")
            defined(base, name).__set__(target, value)


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise Corrupt(f"its arguments for {what} do not fit")
