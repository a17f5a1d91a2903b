"""Placeholders for classes and functions that a pickle names and this program no longer has.

A decode with `placeholders` replaces each missing name by a new class. Its instances keep their constructor arguments
and their state, and are written back as the original objects: byte for byte if the value is unchanged.
"""

from __future__ import annotations

import copyreg
import io
import pickle
from collections.abc import Callable
from functools import partial
from itertools import count
from reprlib import recursive_repr
from types import FunctionType
from typing import Any, ClassVar

from store.classes.shown import in_full

_NOTHING: Any = object()
_Base: Any = pickle._Pickler


class PythonPickler(_Base):  # type: ignore[misc]
    """The stdlib's Python pickler, with its dispatch table from before an import of dill changes it."""

    dispatch: ClassVar[dict[type, Any]] = {
        type(None): _Base.save_none, bool: _Base.save_bool, int: _Base.save_long, float: _Base.save_float,
        bytes: _Base.save_bytes, bytearray: _Base.save_bytearray, pickle.PickleBuffer: _Base.save_picklebuffer,
        str: _Base.save_str, tuple: _Base.save_tuple, list: _Base.save_list, dict: _Base.save_dict,
        set: _Base.save_set, frozenset: _Base.save_frozenset, FunctionType: _Base.save_global,
        type: _Base.save_type,
    }  # fmt: skip


class HoldsPlaceholder(pickle.PicklingError):
    """The C pickler found a placeholder, which only `with_placeholders` can write."""


def _refusal(class_name: str) -> HoldsPlaceholder:
    return HoldsPlaceholder(
        f"a placeholder for {class_name} can be written by the codec 'pickle' only, and cannot be copied"
    )


class StandIn(type):
    """The metaclass of placeholder classes. They are equal if they replace the same class."""

    stands_for: tuple[str, str]
    origin: Origin

    def __repr__(cls) -> str:
        return f"<placeholder for the class {'.'.join(cls.stands_for)}>"

    def __eq__(cls, other: object) -> bool:
        return isinstance(other, StandIn) and cls.stands_for == other.stands_for

    def __hash__(cls) -> int:
        return hash(cls.stands_for)

    def __getattr__(cls, name: str) -> Any:
        """A nested class, which protocols below 4 look up with `getattr`."""
        if name.startswith("__"):
            raise AttributeError(name)
        module, outer = cls.stands_for
        return cls.origin.stand_in(module, f"{outer}.{name}")


class Placeholder:
    """Represents an object whose class is missing.

    `class_name` is the dotted name of the class, `args` and `named_args` its constructor arguments, `state` the
    argument for `__setstate__` or its attributes, `list_items` and `dict_items` its items as a list or dict.
    """

    class_name = ""
    args: tuple[Any, ...] = ()
    named_args: dict[str, Any]
    state: Any = None
    list_items: list[Any]
    dict_items: list[tuple[Any, Any]]
    origin: ClassVar[Origin]
    made_by = "new"
    _state: Any = _NOTHING
    number: int  # its number among the placeholders of its pickle

    def __new__(cls, *args: Any, **named: Any) -> Placeholder:
        made = object.__new__(cls)
        made.args, made.named_args = args, named
        made.list_items, made.dict_items = [], []
        made.number = next(cls.origin.numbers)
        return made

    def __init__(self, *args: Any, **named: Any) -> None:
        self.made_by = "call"  # NEWOBJ calls `__new__` alone
        if len(args) == 2:
            type(self).origin.called.append(self)

    def __setstate__(self, state: Any) -> None:
        self.state = self._state = state

    def append(self, item: Any) -> None:
        self.list_items.append(item)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.dict_items.append((key, value))

    @recursive_repr("<placeholder …>")
    def __repr__(self) -> str:
        parts = [f"args {in_full(self.args)}"] if self.args else []
        parts += [f"named_args {in_full(self.named_args)}"] if self.named_args else []
        parts += [f"state {in_full(self.state)}"] if self._state is not _NOTHING else []
        parts += [f"list_items {in_full(self.list_items)}"] if self.list_items else []
        parts += [f"dict_items {in_full(dict(self.dict_items))}"] if self.dict_items else []
        return f"<placeholder for {self.class_name}{''.join(', ' + part for part in parts)}>"

    def __hash__(self) -> int:
        """The hash of its number in the pickle, so that a set has the same order when it is decoded again."""
        return hash((self.class_name, self.number))

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise _refusal(self.class_name)

    def rebuilt(self, protocol: int) -> tuple[Any, ...]:
        """The result that `__reduce_ex__` of the original object would have."""
        cls: Any = type(self)
        if self.made_by == "call":
            how: tuple[Any, ...] = (cls, self.args)
        elif self.made_by == "reconstruct":
            how = (copyreg._reconstructor, (cls, *self.args))  # type: ignore[attr-defined]
        elif self.named_args and protocol < 4:  # as pickle does, with the `__new__` of the missing class
            module, name = cls.stands_for
            new = cls.origin.stand_in(module, f"{name}.__new__")
            how = (partial(new, cls, *self.args, **self.named_args), ())
        elif self.named_args:
            how = (copyreg.__newobj_ex__, (cls, self.args, self.named_args))  # type: ignore[attr-defined]
        else:
            how = (copyreg.__newobj__, (cls, *self.args))  # type: ignore[attr-defined]
        state = None if self._state is _NOTHING else self._state
        items = iter(self.list_items) if self.list_items else None
        pairs = iter(self.dict_items) if self.dict_items else None
        return (*how, state, items, pairs)


def reconstruct(cls: Any, base: Any, state: Any) -> Any:
    """`copyreg._reconstructor` with support for placeholders: protocols 0 and 1 make instances with it."""
    if not isinstance(cls, StandIn):
        return copyreg._reconstructor(cls, base, state)  # type: ignore[attr-defined]
    made: Any = Placeholder.__new__(cls, base, state)  # type: ignore[arg-type]
    made.made_by = "reconstruct"
    return made


class Origin:
    """The pickle that placeholders come from, and the function to decode it again."""

    def __init__(self, body: bytes, again: Callable[[], Any]) -> None:
        self.body = bytes(body)
        self.again = again
        self.numbers = count()
        self.called: list[Placeholder] = []  # with two arguments, like a function that sets the state of the first
        self._stand_ins: dict[tuple[str, str], StandIn] = {}

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise _refusal("a class that is gone")  # reached by codecs that store classes by value

    def stand_in(self, module: str, name: str) -> StandIn:
        """A placeholder class for a missing global."""
        found = self._stand_ins.get((module, name))
        if found is None:
            about = {"stands_for": (module, name), "origin": self, "class_name": f"{module}.{name}"}
            found = self._stand_ins[module, name] = StandIn(name.rpartition(".")[2], (Placeholder,), about)
        return found

    @property
    def protocol(self) -> int:
        """The protocol of the pickle; 0 for protocols 0 and 1, which it does not name."""
        return self.body[1] if self.body.startswith(pickle.PROTO) else 0


def with_placeholders(value: Any, protocol: int) -> bytes:
    """The pickle of a value that holds placeholders: the original pickle if the value is unchanged.

    Raises:
        HoldsPlaceholder: a part of the original pickle would be lost.
    """
    body, writer = _written(value, protocol)
    for origin in writer.origins:
        before, whole = _written(origin.again(), protocol)
        if before == body and origin.protocol == (protocol if protocol > 1 else 0):
            return origin.body
        whole.check_nothing_was_dropped()
    return body


def _written(value: Any, protocol: int) -> tuple[bytes, _Writer]:
    """(pickle of a value that holds placeholders, the pickler that wrote it)."""
    file = io.BytesIO()
    writer = _Writer(file, protocol)
    writer.dump(value)
    return file.getvalue(), writer


class _Writer(PythonPickler):
    """A Python pickler that can write the names of missing classes and functions."""

    dispatch: ClassVar[dict[type, Any]] = dict(PythonPickler.dispatch)

    def __init__(self, file: Any, protocol: int) -> None:
        super().__init__(file, protocol)
        self.origins: set[Origin] = set()
        self._texts: dict[str, str] = {}

    def check_nothing_was_dropped(self) -> None:
        """Raises: HoldsPlaceholder: a missing function set the state of an object; its call is not in the value."""
        for made in (made for origin in self.origins for made in origin.called):
            if id(made.args[0]) in self.memo and id(made) not in self.memo:
                raise HoldsPlaceholder(
                    f"it was changed, and the state that {made.class_name} gave to an object in it would be lost: "
                    "make that function importable again"
                )

    def save_text(self, text: str) -> None:
        """Pickle equal texts as one object: which of them are identical depends on interning before the decode."""
        text = self._texts.setdefault(text, text)
        if id(text) in self.memo:
            self.write(self.get(self.memo[id(text)][0]))
        else:
            self.save_str(text)

    dispatch[str] = save_text

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Placeholder):
            return value.rebuilt(self.proto)
        return NotImplemented

    def save_stand_in(self, cls: StandIn) -> None:
        """As `save_global`, without looking the name up."""
        self.origins.add(cls.origin)
        module, name = cls.stands_for
        outer, _, inner = name.rpartition(".")
        if self.proto >= 4:
            self.save(module)
            self.save(name)
            self.write(pickle.STACK_GLOBAL)
        elif outer:
            self.save_reduce(getattr, (cls.origin.stand_in(module, outer), inner))
        else:
            encoding = "utf-8" if self.proto >= 3 else "ascii"
            self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode(encoding))
        self.memoize(cls)

    dispatch[StandIn] = save_stand_in


def _refuse(cls: StandIn) -> Any:
    raise _refusal(".".join(cls.stands_for))


copyreg.pickle(StandIn, _refuse)
