"""Makes the objects of a stream: plain data, standard types and instances of allowed classes."""

from __future__ import annotations

import collections
import enum
from collections.abc import Callable
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from store.classes.attributes import method_of
from store.codecs.refusals import refusal, refused
from store.codecs.restricted.arguments import checked_arguments, has_own_constructor, size_of
from store.codecs.restricted.constructors import is_factory
from store.codecs.restricted.exceptions import safe_arguments
from store.codecs.restricted.filling import Filling
from store.codecs.restricted.globals import Global, standard
from store.codecs.restricted.names import Names
from store.codecs.restricted.stack import Unbuilt
from store.codecs.restricted.state import check_versioned, set_attributes, set_dict, uuid_of, values_of
from store.errors import Corrupt, Untrusted

if TYPE_CHECKING:
    from store.codecs.restricted.arrays import Arrays

_BASES = (object, list, dict, tuple, set, frozenset, int, float, complex, str, bytes, bytearray)
_ITERABLE = (list, tuple, set, frozenset, dict, collections.deque, collections.OrderedDict, collections.Counter)


class Objects:
    """Makes the objects of one stream. `lent` has the buffers beside it that no array uses yet, by id."""

    def __init__(self, names: Names, filling: Filling, lent: dict[int, Any]) -> None:
        self.names, self.filling, self.budget, self.lent = names, filling, names.budget, lent
        self.unbuilt: dict[int, Unbuilt] = {}  # made by NEWOBJ or REDUCE, unusable before BUILD
        self.stateful: dict[Any, Callable[[Any], Any]] = {}
        """Classes whose objects BUILD makes from their state → the function that makes one."""

    def load_global(self, module: str, name: str) -> Any:
        """The value of a global. Raises: Untrusted, Corrupt."""
        return self.names.load(module, name)

    @cached_property
    def arrays(self) -> Arrays:
        """The maker of arrays; imports NumPy, which only records with arrays need."""
        from store.codecs.restricted.arrays import Arrays

        return Arrays(self.budget, self.lent)

    def call(self, function: Any, args: Any) -> Any:
        """REDUCE: call a loaded global by its constructor."""
        if type(args) is not tuple:
            raise Corrupt("arguments are not a tuple")
        found = self.names.calls.get(id(function))
        if found is None:
            raise self.not_callable(function)
        self.budget.charge(64 + found.cost + found.factor * _cost_of(args))
        if self.names.is_class(function):
            made = self.run_class(function, args, by=function)
        else:
            made = self._constructed(found, args)
        if type(made) is Unbuilt:
            self.keep_unbuilt(made)
        self.made(made, args)
        if self.names.find is not None and found.construct is function and not isinstance(function, type):
            self.names.classes.add(type(made))  # the program's own function made it
        return made

    def _constructed(self, found: Global, args: tuple[Any, ...]) -> Any:
        cls = found.value
        if found.construct is cls and isinstance(cls, type) and issubclass(cls, BaseException):
            return cls(*safe_arguments(cls, args, self.budget))
        construct: Any = attrgetter(found.construct)(self) if isinstance(found.construct, str) else found.construct
        return construct(*args)

    def run_class(
        self,
        cls: type,
        args: tuple[Any, ...],
        *before: Any,
        by: Callable[..., Any],
        named: dict[str, Any] | None = None,
    ) -> Any:
        """Call code of an allowed class with `before` and the arguments, which are checked."""
        named = named or {}
        if args or named:
            self.budget.charge(64 * (len(args) + len(named)))
            checked = checked_arguments(cls, (*args, *named.values()), self.budget, self.names.is_class)
            args = checked[: len(args)]
            if by is cls and not named and issubclass(cls, dict | set) and not has_own_constructor(cls):
                return self._filled(cls, args)
            args = tuple(self._rehearsed(cls, arg) for arg in args)
        self.filling.running = cls
        made = by(*before, *args, **named)
        self.filling.running = None
        return made

    def _filled(self, cls: type, args: tuple[Any, ...]) -> Any:
        """An instance of a dict or set class without its own constructor, filled piece by piece."""
        is_default = issubclass(cls, collections.defaultdict)
        self.filling.running = cls
        made = cls(*args) if is_default else cls()
        self.filling.running = None
        for arg in () if is_default else args:
            if issubclass(cls, set):
                self.filling.fill_in_pieces(made, list(arg), set.add)
            elif issubclass(cls, collections.Counter) and not isinstance(arg, dict):
                raise Corrupt("its arguments for Counter do not fit")
            else:
                is_ordered = issubclass(cls, collections.OrderedDict)  # it keeps its order separately
                base = collections.OrderedDict if is_ordered else dict
                self.filling.fill_in_pieces(made, _pairs_of(arg), base.__setitem__)
        return made

    def _rehearsed(self, cls: type, arg: Any) -> Any:
        """An argument for a set or dict class of the program, after its keys were hashed and charged once.

        A set gets a list, so that it is filled in the same order as in the rehearsal.
        """
        if issubclass(cls, set | frozenset) and type(arg) in _ITERABLE:
            items = list(arg)
            self.make_set(items)
            return arg if type(arg) in (list, tuple) else items
        if issubclass(cls, dict) and type(arg) in _ITERABLE:
            keys = list(arg) if isinstance(arg, dict) else [p[0] for p in arg if isinstance(p, list | tuple) and p]
            self.make_set(keys)
        return arg

    def new(self, cls: Any, args: Any, named: dict[str, Any]) -> Any:
        """NEWOBJ, NEWOBJ_EX: `cls.__new__(cls, *args, **named)`."""
        if type(args) is not tuple or type(named) is not dict:
            raise Corrupt("arguments are not a tuple")
        self.budget.charge(64 + _cost_of((*args, *named.values())))
        if cls is object and not args and not named:
            return object()
        if self.names.is_class(cls):
            made = self.run_class(cls, args, cls, by=cls.__new__, named=named)
            self.made(made, (*args, *named.values()))
            return made
        build = self.stateful.get(cls) or uuid_of(cls)
        if build is not None and not args and not named:
            return self.keep_unbuilt(Unbuilt(build))
        raise self.not_callable(cls)

    def keep_unbuilt(self, made: Unbuilt) -> Unbuilt:
        """Note an object whose state must follow."""
        self.unbuilt[id(made)] = made
        return made

    def made(self, made: Any, args: tuple[Any, ...]) -> None:
        """Track the depth and the hash cost of a new object."""
        if isinstance(made, tuple | frozenset):
            self.budget.track(made)
        self.budget.nest(made, args)

    def not_callable(self, function: Any) -> Untrusted:
        """The error for a call of an object that is not an allowed class."""
        module = getattr(function, "__module__", None)
        name = getattr(function, "__qualname__", None)
        if isinstance(module, str) and isinstance(name, str):
            return refusal(module, name)
        return refused("it calls an object that is not a class")

    def reconstruct(self, cls: Any, base: Any, state: Any) -> Any:
        """`copyreg._reconstructor`: protocols 0 and 1 make instances with it."""
        if base is object and state is None and not self.names.is_class(cls):
            return self.new(cls, (), {})
        if not self.names.is_class(cls) or not any(base is known for known in _BASES) or not issubclass(cls, base):
            raise self.not_callable(cls)
        if issubclass(cls, enum.Enum):
            raise Corrupt("a member of an enum in it is not one")
        if base is object and state is None:
            return object.__new__(cls)
        if type(state) is not base or (base is tuple and len(state) != len(getattr(cls, "_fields", state))):
            raise Corrupt("an object's base does not fit its class")
        return self._based(cls, base, state)

    def _based(self, cls: Any, base: Any, state: Any) -> Any:
        if base is dict:
            made = dict.__new__(cls)
            self.filling.fill_in_pieces(made, list(state.items()), dict.__setitem__)
            return made
        if base is set or base is frozenset:
            self.make_set(list(state))
            state = list(state)
        made = base.__new__(cls, state)
        if base.__init__ is not object.__init__:
            base.__init__(made, state)
        return made

    def attribute(self, owner: Any, name: Any) -> Any:
        """`getattr`: protocols below 4 name nested classes and `ZoneInfo` with it; resolved with the tables."""
        if not isinstance(owner, type) or type(name) is not str or not self.names.is_loaded(owner):
            raise refusal("builtins", "getattr")
        if self.names.is_class(owner) and issubclass(owner, enum.Enum) and name in owner.__members__:
            return owner.__members__[name]  # enum.pickle_by_enum_name
        return self.names.load_member(owner, name)

    def make_set(self, *args: Any) -> set[Any]:
        """`set([…])`: protocols below 4 make sets with it."""
        made: set[Any] = set()
        self.filling.fill_set(made, _only_list(args))
        return made

    def make_frozenset(self, *args: Any) -> frozenset[Any]:
        """`frozenset([…])`."""
        self.budget.forget(self.make_set(*args))
        return frozenset(*args)  # from the list, in the same order as the rehearsal

    def make_counter(self, *args: Any) -> Any:
        """`Counter({…})`; its keys are hashed and compared again."""
        if len(args) > 1 or not all(type(arg) is dict for arg in args):
            raise Corrupt("its arguments for Counter do not fit")
        made: collections.Counter[Any] = collections.Counter()
        for counts in args:
            self.filling.fill_dict(made, [part for pair in counts.items() for part in pair])
        return made

    def make_ordered(self, *args: Any) -> Any:
        """`OrderedDict()`; Python 2 passed a list of lists."""
        pairs = _only_list(args)
        if not all(type(pair) is list and len(pair) == 2 for pair in pairs):
            raise Corrupt("its arguments for OrderedDict do not fit")
        made: collections.OrderedDict[Any, Any] = collections.OrderedDict()
        self.filling.fill_dict(made, [part for pair in pairs for part in pair])
        return made

    def make_deque(self, items: Any = (), maxlen: Any = None) -> Any:
        """`deque((), maxlen)`; Python 2 passed the items."""
        if type(items) not in (tuple, list) or type(maxlen) not in (int, type(None)):
            raise Corrupt("its arguments for deque do not fit")
        made: collections.deque[Any] = collections.deque(maxlen=maxlen)
        self.filling.fill_list(made, list(items))
        return made

    def make_default(self, factory: Any = None) -> Any:
        """`defaultdict(factory)`; the factory may be an allowed class."""
        if factory is not None and not is_factory(factory) and not self.names.is_class(factory):
            raise self.not_callable(factory)
        return collections.defaultdict(factory)

    def build(self, target: Any, state: Any) -> Any:
        """BUILD: set the state of the target and return it or its replacement; never for a class or a function."""
        self.budget.charge(64 + size_of(state))
        self.budget.nest(target, values_of(state))
        if type(target) is Unbuilt:
            self.unbuilt.pop(id(target), None)
            return target.build(state)
        kind, classes = type(target), self.names.classes
        if kind not in classes and isinstance(target, BaseException) and _is_standard(kind):
            set_dict(target, state)
        elif isinstance(target, type) or kind not in classes:
            raise refusal(str(kind.__module__), kind.__qualname__)
        elif isinstance(target, enum.Enum):
            raise Corrupt("it gives state to a member of an enum, which everybody shares")
        elif _setstate_of(type(target)) is not None:
            check_versioned(type(target), state)
            self.budget.charge_arguments((state, *values_of(state)))
            self.filling.running = type(target)
            method_of(target, "__setstate__")(state)
            self.filling.running = None
        else:
            set_attributes(target, state)
        return target


def _setstate_of(cls: type) -> Any:
    """The `__setstate__` of the class; None if it has only that of BaseException."""
    found = getattr(cls, "__setstate__", None)
    return None if found is getattr(BaseException, "__setstate__", None) else found


def _cost_of(args: tuple[Any, ...]) -> int:
    return 16 * len(args) + sum(map(size_of, args))


def _pairs_of(arg: Any) -> list[tuple[Any, Any]]:
    """(key, value), as a dict takes them."""
    if isinstance(arg, dict):
        return list(dict.items(arg))
    if not all(type(pair) in (list, tuple) and len(pair) == 2 for pair in arg):
        raise Corrupt("its arguments for a dict do not fit")
    return [(pair[0], pair[1]) for pair in arg]


def _only_list(args: tuple[Any, ...]) -> list[Any]:
    if not args:
        return []
    if len(args) != 1 or type(args[0]) is not list:
        raise Corrupt("its arguments for a set do not fit")
    return args[0]


def _is_standard(cls: type) -> bool:
    found = standard(cls.__module__, cls.__qualname__)
    return found is not None and found.value is cls
