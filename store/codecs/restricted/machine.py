"""The restricted decoder: a pickle machine that can make plain data and what was allowed, and nothing else.

It is the parser: no scanner beside it could read the same bytes differently. It knows the opcodes of protocols
0 to 5 that the standard library's pickler writes for such values; what it does not know is an error. A global
is looked up in a table (`restricted_globals`), never imported. It is slow, 100–200 µs per KB, and only ever meets
records of other people.

Opcodes: https://docs.python.org/3/library/pickletools.html and CPython's Lib/pickletools.py.
"""

from __future__ import annotations

import collections
import enum
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from operator import attrgetter
from typing import IO, TYPE_CHECKING, Any

from store.classes.allowlist import Allowed
from store.classes.attributes import defined, method_of
from store.classes.dotted import splits
from store.classes.lookup import AS_WRITTEN, MAX_NAME, Lookup
from store.classes.moved import other_names
from store.classes.renaming import in_python_3
from store.classes.shown import size_of as shown_size
from store.codecs.refusals import refusal, refused, too_much
from store.codecs.restricted.arguments import checked_arguments, has_own_constructor, size_of
from store.codecs.restricted.exceptions import safe_arguments
from store.codecs.restricted.globals import Global, classes_of, is_factory, standard
from store.codecs.restricted.limits import Budget, check_unfolded
from store.codecs.restricted.opcodes import COSTS, STEPS, Unbuilt
from store.codecs.restricted.reader import Reader, truncated
from store.codecs.restricted.state import check_versioned, is_uuid, set_attributes, set_dict, set_uuid, values_of
from store.errors import Corrupt, StoreError, Untrusted

if TYPE_CHECKING:
    from store.codecs.restricted.arrays import Arrays

Find = Callable[[str, str], Any]

_BASES = (object, list, dict, tuple, set, frozenset, int, float, complex, str, bytes, bytearray)
_SECONDS_PER_ITEM = 40e-6  # that a `__setitem__` of the program may take
_SHOWN_CAUSE = 1 << 20  # as `shown.size_of` counts, of an error of the program's own code
_ITERABLE = (list, tuple, set, frozenset, dict, collections.deque, collections.OrderedDict, collections.Counter)
_DICTS = (dict, collections.OrderedDict, collections.defaultdict, collections.Counter)


class Machine:
    """Decodes one pickle.

    Args:
        allow: the classes that may be made, called and given state.
        find: what a program's own `Unpickler` subclass looks globals up with; its results are the program's.
        persistent_load: as the stdlib's.
        lookup: the new names of classes that moved.
    """

    def __init__(
        self,
        source: bytes | IO[bytes],
        *,
        allow: Allowed,
        buffers: Iterable[Any] | None = None,
        fix_imports: bool = True,
        encoding: str = "ASCII",
        errors: str = "strict",
        find: Find | None = None,
        persistent_load: Callable[[Any], Any] | None = None,
        lookup: Lookup = AS_WRITTEN,
    ) -> None:
        self.lookup = lookup
        self.budget = Budget()
        self.reader: Reader = Reader(source, self.budget)
        self.allow = allow
        self.buffers: Iterator[Any] | None = None if buffers is None else iter(buffers)
        self.fix_imports = fix_imports
        self.encoding, self.errors = encoding, errors
        self.find = find
        self.persistent_load = persistent_load
        self.protocol = 0
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.calls: dict[int, Global] = {}  # id of a loaded global → what calling it means
        self.named: dict[int, Any] = {}  # id → the loaded global, so that its id stays its own
        self.written: dict[int, tuple[str, str]] = {}  # id → the name that it was loaded by
        self.classes = classes_of(allow)  # whose instances may be given state
        self.left_over = 0  # bytes that follow the end of the pickle
        self.unbuilt: dict[int, Any] = {}  # made by NEWOBJ or REDUCE and useless before BUILD
        self.filled: dict[int, tuple[Any, int]] = {}  # id → what is like a dict and is none, how many items it got
        self.is_shared = False  # something large may be in the value more than once
        self.lent: dict[int, Any] = {}  # id → a buffer beside the pickle that no array has yet
        self.asking = False  # the program's `find_class` or `persistent_load` runs
        self.running: type | None = None  # the allowed class whose code runs

    def run(self) -> Any:
        """The value.

        Raises:
            EOFError: there is no pickle at all. Untrusted, Corrupt; and what the program's own `find_class` and
                `persistent_load` raise.
        """
        self.protocol, self.asking, self.running = 0, False, None
        self.stack, self.marks, self.unbuilt = [], [], {}
        self.budget.renew()
        opcode = self.reader.opcode()
        try:
            return self._decode(opcode)
        except StoreError:  # ours, and what `versioned` says of a class
            raise
        except Exception as exc:  # MemoryError and RecursionError too: they are of somebody else's making
            if self.asking:
                raise
            # What our own constructors and Python's say of a value quotes it; a class's own code is the program's.
            raise self._corrupt(exc) from (exc if self._may_be_shown(exc) else None)

    def _decode(self, opcode: int) -> Any:
        budget, next_opcode = self.budget, self.reader.opcode
        try:
            while opcode != 0x2E:  # STOP
                budget.left -= COSTS[opcode]
                if budget.left < 0:
                    budget.charge(0)
                STEPS[opcode](self)
                opcode = next_opcode()
            return self._stop()
        except EOFError:
            if self.asking or self.running:
                raise
            raise truncated() from None

    def _may_be_shown(self, exc: Exception) -> bool:
        """Whether it is an error of the program's code, and no giant to be written out with it."""
        return self.running is not None and shown_size(exc).text < _SHOWN_CAUSE

    def _corrupt(self, exc: Exception) -> Corrupt:
        """The error for whatever went wrong inside; it does not say what the values were."""
        if self.running is not None:
            return Corrupt(
                f"an object in it could not be made: {self.running.__qualname__[:80]!r} raised "
                f"{type(exc).__name__}; the record stays as it is"
            )
        if isinstance(exc, MemoryError):
            return too_much("it takes more memory than there is")
        if isinstance(exc, IndexError):
            return Corrupt("an opcode takes more from the stack than there is")
        return Corrupt(f"its bytes cannot be decoded ({type(exc).__name__}); the record stays as it is")

    def _stop(self) -> Any:
        value = self.stack.pop()
        if self.stack or self.marks:
            raise Corrupt("it ends with values left over on the stack")
        if self.unbuilt:
            raise Corrupt("an object in it never got its state")
        self.left_over = self.reader.end()
        self.check_value(value)
        return value

    def check_value(self, value: Any) -> None:
        """Raises: Corrupt: whoever writes the value out, or compares it, would not come to an end.

        Instances of allowed classes are not looked into: their graphs may be legitimate, and have a short `repr`.
        """
        if self.is_shared:
            check_unfolded(shown_size(value, through_objects=False).text, self.budget.size)

    def pop_mark(self) -> list[Any]:
        """What was pushed since the last mark."""
        items = self.stack
        self.stack = self.marks.pop()
        return items

    # -- buffers beside the pickle

    def next_buffer(self) -> Any:
        """NEXT_BUFFER: one that was given; its bytes are a part of the stream."""
        if self.buffers is None:
            raise Corrupt("it refers to buffers, and none were given")
        try:
            buffer = next(self.buffers)
        except StopIteration:
            raise Corrupt("it refers to more buffers than were given") from None
        with memoryview(buffer) as view:
            self.budget.grow(view.nbytes)
        self.lent[id(buffer)] = buffer
        return buffer

    def make_readonly(self, view: memoryview) -> None:
        """READONLY_BUFFER: the view takes the place of the buffer that is on top."""
        buffer, self.stack[-1] = self.stack[-1], view
        if self.lent.pop(id(buffer), None) is not None:
            self.lent[id(view)] = view

    # -- globals

    def load_global(self, module: str, name: str) -> Any:
        """The value of a global, whose calls are then known."""
        self.check_name(module, name)
        found = self.found_by_us(module, name) if self.find is None else self._found_by_program(module, name)
        self.named[id(found.value)] = found.value
        self.written[id(found.value)] = module, name
        if found.construct is not None:
            self.calls[id(found.value)] = found
        return found.value

    def check_name(self, module: str, name: str) -> None:
        """Charge looking it up. Raises: Corrupt: it is too long for that."""
        size = len(module) + len(name)
        if size >= MAX_NAME:
            raise Corrupt(
                f"the name of a global in it has more than {MAX_NAME} characters: {module + '.' + name:.100}..."
            )
        self.budget.charge(400 + 32 * size)

    def _renamed(self, module: str, name: str) -> tuple[str, str]:
        """How Python 3 calls what a protocol that Python 2 knew may have named."""
        return in_python_3(module, name) if self.protocol < 3 and self.fix_imports else (module, name)

    def found_by_us(self, module: str, name: str) -> Global:
        """What a name means. Raises: Untrusted: nothing that is allowed."""
        new = self._moved(module, name)
        if new is None:
            return self._found(*self._renamed(module, name))
        for module, name in splits(new):  # the one that can be found: nothing is imported to tell which is meant
            if self._is_known(module, name):
                return self._found(module, name)
        raise refusal(*new.rpartition(".")[::2])

    def _moved(self, module: str, name: str) -> str | None:
        """The new name of a global, by the name it was written under or by what Python 3 calls that."""
        new = self.lookup.renamed(module, name)
        return self.lookup.renamed(*self._renamed(module, name)) if new is None else new

    def _is_known(self, module: str, name: str) -> bool:
        return (module, name) in self.allow or standard(module, name) is not None

    def _found(self, module: str, name: str) -> Global:
        found = standard(module, name) or _SPECIAL.get((module, name))
        allowed = self.allow.get((module, name))
        if allowed is None and found is None:
            allowed = next((self.allow[other] for other in other_names(module, name) if other in self.allow), None)
        if allowed is not None and (found is None or found.construct is None):
            return Global(allowed, allowed)
        if found is None:
            raise refusal(module, name)
        return found

    def _found_by_program(self, module: str, name: str) -> Global:
        value = self.ask(self.find, module, name)
        ours = standard(*self._renamed(module, name))
        if ours is not None and ours.value is value:
            return self.found_by_us(module, name)
        if isinstance(value, type):
            self.classes.add(value)
        return Global(value, value if callable(value) else None)

    def ask(self, function: Any, *args: Any) -> Any:
        """What the program's own function says; what it raises is its own too."""
        self.asking = True
        answer = function(*args)
        self.asking = False
        return answer

    # -- making objects

    @cached_property
    def arrays(self) -> Arrays:
        """What makes arrays: NumPy is for records that have some."""
        from store.codecs.restricted.arrays import Arrays

        return Arrays(self.budget, self.lent)

    def call(self, function: Any, args: Any) -> Any:
        """REDUCE: only what a global was found to mean."""
        if type(args) is not tuple:
            raise Corrupt("arguments are not a tuple")
        found = self.calls.get(id(function))
        if found is None:
            raise self.not_callable(function)
        self.budget.charge(64 + found.cost + found.factor * _cost_of(args))
        if self.is_class(function):
            made = self.run_class(function, args, by=function)
        else:
            made = self._constructed(found, args)
        if type(made) is Unbuilt:
            self.keep_unbuilt(made)
        self.made(made, args)
        if self.find is not None and found.construct is function and not isinstance(function, type):
            self.classes.add(type(made))  # the program's own function made it
        return made

    def _constructed(self, found: Global, args: tuple[Any, ...]) -> Any:
        if (
            found.construct is found.value
            and isinstance(found.value, type)
            and issubclass(found.value, BaseException)
        ):
            return found.value(*safe_arguments(found.value, args, self.budget))
        construct: Any = attrgetter(found.construct)(self) if isinstance(found.construct, str) else found.construct
        return construct(*args)

    def is_class(self, cls: Any) -> bool:
        """Whether it is an allowed class that the stream has named."""
        return id(cls) in self.calls and isinstance(cls, type) and cls in self.classes

    def run_class(
        self,
        cls: type,
        args: tuple[Any, ...],
        *before: Any,
        by: Callable[..., Any],
        named: dict[str, Any] | None = None,
    ) -> Any:
        """What code of an allowed class returns, called with `before` and the arguments, which are checked."""
        named = named or {}
        if args or named:
            self.budget.charge(64 * (len(args) + len(named)))
            checked = checked_arguments(cls, (*args, *named.values()), self.budget, self.is_class)
            args = checked[: len(args)]
            if by is cls and not named and issubclass(cls, dict | set) and not has_own_constructor(cls):
                return self._filled(cls, args)
            args = tuple(self._rehearsed(cls, arg) for arg in args)
        self.running = cls
        made = by(*before, *args, **named)
        self.running = None
        return made

    def _filled(self, cls: type, args: tuple[Any, ...]) -> Any:
        """An instance of a dict or set that has no constructor of its own, filled piece by piece."""
        is_default = issubclass(cls, collections.defaultdict)
        self.running = cls
        made = cls(*args) if is_default else cls()
        self.running = None
        for arg in () if is_default else args:
            if issubclass(cls, set):
                self._fill_in_pieces(made, list(arg), set.add)
            elif issubclass(cls, collections.Counter) and not isinstance(arg, dict):
                raise Corrupt("its arguments for Counter do not fit")
            else:
                is_ordered = issubclass(cls, collections.OrderedDict)  # which keeps its order beside
                put = _put_ordered if is_ordered else _put
                self._fill_in_pieces(made, _pairs_of(arg), put)
        return made

    def _fill_in_pieces(self, made: Any, items: list[Any], put: Callable[[Any, Any], None]) -> None:
        for piece in self.budget.pieces(0, items):
            for item in piece:
                self.budget.charge_key(made, item[0] if isinstance(made, dict) else item)
                put(made, item)

    def _rehearsed(self, cls: type, arg: Any) -> Any:
        """An argument that a set or a dict of the program may be made of: what it hashes was hashed, and charged.

        A set is made of a list, that it is filled in the order of the rehearsal.
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
        if self.is_class(cls):
            made = self.run_class(cls, args, cls, by=cls.__new__, named=named)
            self.made(made, (*args, *named.values()))
            return made
        if is_uuid(cls) and not args and not named:
            made = object.__new__(cls)
            self.unbuilt[id(made)] = made
            return made
        raise self.not_callable(cls)

    def keep_unbuilt(self, made: Unbuilt) -> Unbuilt:
        """Note that its state must follow."""
        self.unbuilt[id(made)] = made
        return made

    def made(self, made: Any, args: tuple[Any, ...]) -> None:
        """Note what must be known of a new object."""
        if isinstance(made, tuple | frozenset):
            self.budget.track(made)
        self.budget.nest(made, args)

    def not_callable(self, function: Any) -> Untrusted:
        """The error for a call of something that is a value, and no class that was allowed."""
        module = getattr(function, "__module__", None)
        name = getattr(function, "__qualname__", None)
        if isinstance(module, str) and isinstance(name, str):
            return refusal(module, name)
        return refused("it calls what is no class")

    def reconstruct(self, cls: Any, base: Any, state: Any) -> Any:
        """`copyreg._reconstructor`: how protocols 0 and 1 make instances."""
        if base is object and state is None and not self.is_class(cls):
            return self.new(cls, (), {})
        if not self.is_class(cls) or not any(base is known for known in _BASES) or not issubclass(cls, base):
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
            self._fill_in_pieces(made, list(state.items()), _put)
            return made
        if base is set or base is frozenset:
            self.make_set(list(state))
            state = list(state)
        made = base.__new__(cls, state)
        if base.__init__ is not object.__init__:
            base.__init__(made, state)
        return made

    def attribute(self, owner: Any, name: Any) -> Any:
        """`getattr`: how a class in a class, and `ZoneInfo`, are named; a look-up in the tables all the same."""
        if not isinstance(owner, type) or type(name) is not str or id(owner) not in self.named:
            raise refusal("builtins", "getattr")
        if self.is_class(owner) and issubclass(owner, enum.Enum) and name in owner.__members__:
            return owner.__members__[name]  # enum.pickle_by_enum_name
        module, outer = self.written[id(owner)]
        if self._moved(module, f"{outer}.{name}") is not None:
            return self.load_global(module, f"{outer}.{name}")
        return self.load_global(owner.__module__, f"{owner.__qualname__}.{name}")

    def make_set(self, *args: Any) -> set[Any]:
        """`set([…])`: how protocols below 4 make sets."""
        made: set[Any] = set()
        self.fill_set(made, _only_list(args))
        return made

    def make_frozenset(self, *args: Any) -> frozenset[Any]:
        """`frozenset([…])`."""
        self.budget.forget(self.make_set(*args))
        return frozenset(*args)  # of the list, in whose order the rehearsal went

    def make_counter(self, *args: Any) -> Any:
        """`Counter({…})`: its keys are hashed and compared again."""
        if len(args) > 1 or not all(type(arg) is dict for arg in args):
            raise Corrupt("its arguments for Counter do not fit")
        made: collections.Counter[Any] = collections.Counter()
        for counts in args:
            self.fill_dict(made, [part for pair in counts.items() for part in pair])
        return made

    def make_ordered(self, *args: Any) -> Any:
        """`OrderedDict()`; Python 2 gave it a list of lists."""
        pairs = _only_list(args)
        if not all(type(pair) is list and len(pair) == 2 for pair in pairs):
            raise Corrupt("its arguments for OrderedDict do not fit")
        made: collections.OrderedDict[Any, Any] = collections.OrderedDict()
        self.fill_dict(made, [part for pair in pairs for part in pair])
        return made

    def make_deque(self, items: Any = (), maxlen: Any = None) -> Any:
        """`deque((), maxlen)`; Python 2 gave it its items."""
        if type(items) not in (tuple, list) or type(maxlen) not in (int, type(None)):
            raise Corrupt("its arguments for deque do not fit")
        made: collections.deque[Any] = collections.deque(maxlen=maxlen)
        self.fill_list(made, list(items))
        return made

    def make_default(self, factory: Any = None) -> Any:
        """`defaultdict(factory)`: an allowed class may be one."""
        if factory is not None and not is_factory(factory) and not self.is_class(factory):
            raise self.not_callable(factory)
        return collections.defaultdict(factory)

    # -- filling objects

    def fill_list(self, target: Any, items: list[Any]) -> None:
        """APPEND, APPENDS: lists, deques, and what an allowed class makes of it."""
        self.budget.nest(target, items)
        if type(target) is list or type(target) is collections.deque:
            target.extend(items)
        elif type(target) in self.classes:
            self._fill_own_list(target, items)
        else:
            raise Corrupt(f"it appends to something that is no list but {type(target).__qualname__[:80]!r}")

    def _fill_own_list(self, target: Any, items: list[Any]) -> None:
        """As the stdlib's unpickler, but for methods that the record itself gave the object."""
        self.budget.charge_arguments((items,))
        extend, append = method_of(target, "extend"), method_of(target, "append")
        self.running = type(target)
        if extend is not None:
            extend(items)
        elif append is not None:
            for item in items:
                append(item)
        else:
            raise Corrupt(f"it appends to something that is no list but {type(target).__qualname__[:80]!r}")
        self.running = None

    def fill_dict(self, target: Any, items: list[Any]) -> None:
        """SETITEM, SETITEMS: key and value in turns."""
        if len(items) % 2:
            raise Corrupt("a key has no value")
        self.budget.nest(target, items)
        if type(target) in _DICTS:
            for piece in self.budget.pieces(len(target), items, 2):
                self._set_items(target, piece)
        elif type(target) in self.classes:
            self._fill_own_dict(target, items)
        else:
            raise Corrupt(f"it sets items of something that is no dict but {type(target).__qualname__[:80]!r}")

    def _fill_own_dict(self, target: Any, items: list[Any]) -> None:
        is_own = defined(type(target), "__setitem__") is not dict.__setitem__
        filled = dict.__len__(target) if isinstance(target, dict) else self.filled.get(id(target), (None, 0))[1]
        self.running = type(target)
        for piece in self.budget.pieces(filled, items, 2, _SECONDS_PER_ITEM if is_own else 0.0):
            self._set_items(target, piece)
        self.running = None
        if not isinstance(target, dict):
            self.filled[id(target)] = target, filled + len(items) // 2

    def _set_items(self, target: Any, items: list[Any]) -> None:
        for index in range(0, len(items), 2):
            self.budget.charge_key(target, items[index])
            target[items[index]] = items[index + 1]

    def fill_set(self, target: set[Any], items: list[Any]) -> None:
        """ADDITEMS, and what makes sets from lists."""
        self.budget.nest(target, items)
        for piece in self.budget.pieces(set.__len__(target), items):
            for item in piece:
                self.budget.charge_key(target, item)
                target.add(item)

    def build(self, target: Any, state: Any) -> None:
        """BUILD: state for an instance of an allowed class; never for a class or a function."""
        self.budget.charge(64 + size_of(state))
        self.budget.nest(target, values_of(state))
        if self.unbuilt.pop(id(target), None) is not None:
            if type(target) is Unbuilt:
                self._put_built(target, target.build(state))
            else:
                set_uuid(target, state)
        elif type(target) not in self.classes and isinstance(target, BaseException) and _is_standard(type(target)):
            set_dict(target, state)
        elif isinstance(target, type) or type(target) not in self.classes:
            kind = type(target)
            raise refusal(str(kind.__module__), kind.__qualname__)
        elif isinstance(target, enum.Enum):
            raise Corrupt("it gives state to a member of an enum, which everybody shares")
        elif _setstate_of(type(target)) is not None:
            check_versioned(type(target), state)
            self.budget.charge_arguments((state, *values_of(state)))
            self.running = type(target)
            method_of(target, "__setstate__")(state)
            self.running = None
        else:
            set_attributes(target, state)

    def _put_built(self, target: Unbuilt, made: Any) -> None:
        """What was made takes the place of what stood for it."""
        self.stack[-1] = made
        for index in target.places:
            if self.memo[index] is target:
                self.memo[index] = made


def _setstate_of(cls: type) -> Any:
    """The class's own `__setstate__`, or None where the default is wanted."""
    found = getattr(cls, "__setstate__", None)
    return None if found is getattr(BaseException, "__setstate__", None) else found


def _cost_of(args: tuple[Any, ...]) -> int:
    return 16 * len(args) + sum(map(size_of, args))


def _put(made: dict[Any, Any], pair: Any) -> None:
    dict.__setitem__(made, *pair)


def _put_ordered(made: collections.OrderedDict[Any, Any], pair: Any) -> None:
    collections.OrderedDict.__setitem__(made, *pair)


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


def _reconstructor(*args: Any) -> Any:
    """Stands for `copyreg._reconstructor` on the stack, where only `Machine.reconstruct` can be meant."""
    raise TypeError("this is a name, not a function")


def _getattr(*args: Any) -> Any:
    """Stands for `getattr` on the stack, where only `Machine.attribute` can be meant."""
    raise TypeError("this is a name, not a function")


_SPECIAL = {
    ("copyreg", "_reconstructor"): Global(_reconstructor, "reconstruct"),
    ("builtins", "getattr"): Global(_getattr, "attribute"),
}
