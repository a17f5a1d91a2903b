"""The cost limit of a restricted decode: one budget, in bytes, for memory and for work.

Every step of the decoder charges the memory and the work it causes, so that a few bytes can take neither gigabytes
nor hours. One charged byte stands for about 12 ns of work.
"""

from __future__ import annotations

import collections
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from store.classes.attributes import attributes_of
from store.codecs.refusals import too_much

BASE_BYTES = 128 * 1024 * 1024
BYTES_PER_BYTE = 32  # memory of plain data for each byte of pickle, with a wide margin
HASH_STEP = 32  # charge for hashing or comparing one item of a key
WALK_STEP = 192  # charge for visiting one part of a key whose parts can change
MAX_DEPTH = 100  # of nested tuples: hashing recurses in C without a check
MAX_COLLISIONS = 256  # keys with the same hash in one container; each new key is compared with all of them
MAX_NESTING = 500  # of containers that CPython destroys by recursion; 1,300 fill a stack of 256 KB
MODULUS = 2**61 - 1  # integers below it never share a hash (sys.hash_info.modulus)

MAX_UNFOLDED = 1 << 32  # as counted by `size_of`: an object that is held several times counts each time
UNFOLDED_PER_BYTE = 4096  # of the stream

_TIMED = 10_000  # entries of a container from which filling it is timed
_PIECE = 128  # entries filled between two looks at the clock
_SECONDS = 1.0  # of processor time for filling large containers, plus for each entry:
_SECONDS_PER_ENTRY = 20e-6  # about 30 times the usual

_SCALARS = frozenset({bool, type(None), float, complex})
_UNHASHABLE = (list, dict, set, bytearray, collections.deque)
# These lack the "trashcan" with which CPython bounds the recursion of destructors (Objects/object.c).
_WITHOUT_TRASHCAN = (collections.defaultdict, collections.deque, slice, BaseException)
# 3.13 bounds no container below 10,000 levels; 3.14 checks the stack.
_RECURSIVE: tuple[type, ...] = (object,) if sys.version_info[:2] == (3, 13) else _WITHOUT_TRASHCAN
_LEAVES = frozenset({str, bytes, int, float, complex, bool, type(None)})


class Budget:
    """Counts down from an allowance that grows with the size of the stream."""

    def __init__(self) -> None:
        self.left = BASE_BYTES
        self.size = 0  # bytes of the stream
        self._groups: dict[int, tuple[Any, int, int, bool]] = {}  # id → (a tuple or frozenset, and its weight)
        self._hashes: dict[
            int, tuple[Any, dict[int, int]]
        ] = {}  # id → (a container, how often each hash occurs in it)
        self._nested: dict[int, list[Any]] = {}  # id → [a container, its height, whether it is inside another]
        self._grown_late = 0
        self._seconds = 0.0  # spent on filling large containers
        self._entries = 0  # put into them

    def grow(self, size: int) -> None:
        """Note that `size` more bytes of the stream were read."""
        self.size += size
        self.left += size * BYTES_PER_BYTE

    def renew(self) -> None:
        """The next pickle of a file begins: memory of the earlier values belongs to the program."""
        self.left = max(self.left, BASE_BYTES)

    def charge(self, size: int) -> None:
        """Raises: Corrupt: the allowance is used up."""
        self.left -= size
        if self.left < 0:
            raise too_much("it would take more memory or time than plain data of its size can need")

    # -- keys

    def track(self, group: Sequence[Any] | frozenset[Any]) -> None:
        """Note the depth of a new tuple or frozenset, and the cost of hashing it."""
        items = _items_of(group)
        depth, work, changing = 1, 1 + len(items), False
        for item in items:
            if not _is_light(item):
                inner = self._weigh(item)
                depth, work, changing = max(depth, inner[0] + 1), work + inner[1] - 1, changing or inner[2]
        if depth > MAX_DEPTH:
            raise too_much(f"it nests tuples more than {MAX_DEPTH} deep")
        if depth > 1 or changing or work > len(items) + 1:
            self.charge(300)
            self._groups[id(group)] = group, depth, work, changing

    def weigh_as(self, item: Any, work: int) -> None:
        """Note the cost of hashing or comparing a new object, if its type does not determine it."""
        self.charge(300)
        self._groups[id(item)] = item, 1, work, False

    def charge_key(self, container: Any, key: Any) -> None:
        """Charge a key before it is hashed, and compared with those of the same hash in the container.

        Raises:
            Corrupt: too costly. TypeError: it cannot be hashed.
        """
        kind = type(key)
        if kind is str or kind is bytes:  # the hash is randomised; equal keys are compared to the end
            self.left -= HASH_STEP + len(key) // 64
        elif kind is bool or key is None or (kind is int and -MODULUS < key < MODULUS):  # too few to collide
            self.left -= HASH_STEP
        else:
            self._charge_chosen(container, key)
        if self.left < 0:
            self.charge(0)

    def _charge_chosen(self, container: Any, key: Any) -> None:
        """Charge a key whose hash the author of the record can choose."""
        _, work, changing = self._weigh(key)
        if changing:
            work = self._walk(key)
        self.charge(HASH_STEP * work)
        value = hash(key)
        known = self._hashes.get(id(container))
        if known is None:
            self.charge(300)
            known = self._hashes[id(container)] = container, {}
        same = known[1][value] = known[1].get(value, 0) + 1
        if same > MAX_COLLISIONS:
            raise too_much("its keys were made to collide")
        self.charge(HASH_STEP * work * same + 96)

    def charge_arguments(self, args: Iterable[Any], *, walked: bool = False) -> None:
        """Charge arguments that a class of the program may hash; `walked`: visit objects whose state can change."""
        for arg in args:
            items = arg if type(arg) in (list, collections.deque) else (arg,)
            self.charge(sum(HASH_STEP * self._work(item, walked) for item in items if not _is_light(item)))

    def _work(self, item: Any, walked: bool) -> int:
        _, work, changing = self._weigh(item)
        if changing and walked and type(item).__hash__ is not None:
            return self._walk(item)
        return work

    def forget(self, container: Any) -> None:
        """Drop the notes on a container that is complete."""
        self._hashes.pop(id(container), None)

    def _weigh(self, item: Any) -> tuple[int, int, bool]:
        """(depth, work, whether they can change) of hashing an item."""
        if isinstance(item, tuple | frozenset):
            known = self._groups.get(id(item))
            return (1, len(_items_of(item)) + 1, False) if known is None else known[1:]
        if type(item) in _LEAVES:
            return _weight_of(item)
        noted = self._groups.get(id(item))
        return (0, 1, not isinstance(item, _UNHASHABLE)) if noted is None else noted[1:]

    def _walk(self, key: Any) -> int:
        """The work of hashing a key with objects in it, whose state may have changed since they were added.

        A part counts each time it occurs, because it is hashed each time.
        """
        work = 0
        left = [(key, 0)]
        while left:
            item, depth = left.pop()
            if type(item) in _LEAVES:
                self.charge(WALK_STEP // 4)
                work += _weight_of(item)[1]
                continue
            self.charge(WALK_STEP)
            if depth > MAX_DEPTH:
                raise too_much(f"it has a key nested more than {MAX_DEPTH} deep")
            if isinstance(item, _UNHASHABLE):
                work += 1 + len(item)  # a class may hash a copy of it; its items are not visited
            else:
                parts = _parts(item)
                work += 1 + len(parts) + (sys.getsizeof(item, 0) + _exported(item)) // 1024
                self.charge(64 * len(parts))
                left += [(part, depth + 1) for part in parts]
        return work

    # -- time

    def pieces(
        self, filled: int, items: list[Any], each: int = 1, seconds_per_entry: float = 0.0
    ) -> Iterator[list[Any]]:
        """The items in pieces of whole entries; the caller's work on each piece is timed if there are many.

        `filled`: entries that the container has. `seconds_per_entry`: additional time for code of the program.

        Integers can be chosen so that each one probes thousands of occupied slots of a dict, although no two share a
        hash: the order of probing is known (Objects/dictobject.c). Only the time shows how many were probed.
        """
        if filled + len(items) // each < _TIMED:
            yield items
            return
        for start in range(0, len(items), _PIECE * each):
            piece = items[start : start + _PIECE * each]
            began = time.thread_time()
            yield piece
            entries = len(piece) // each
            self._took(time.thread_time() - began - seconds_per_entry * entries, entries)

    def _took(self, seconds: float, entries: int) -> None:
        self._seconds += max(0.0, seconds)
        self._entries += entries
        if self._seconds > _SECONDS + _SECONDS_PER_ENTRY * self._entries:
            raise too_much("its keys were made to collide")

    # -- nesting

    def nest(self, parent: Any, children: Iterable[Any]) -> None:
        """Note that values are added to a container; types that CPython destroys by recursion may not nest too deep.

        A container that grows while it is inside another raises the height of those around it, which is not tracked.
        The sum of such growth is bounded too, so no chain is longer than the sum of both bounds.
        """
        if not isinstance(parent, _RECURSIVE):
            return
        height = 0
        for child in children:
            if type(child) not in _LEAVES and child is not parent and isinstance(child, _RECURSIVE):
                height = max(height, self._put_inside(child))
        if height:
            self._rise(parent, height + 1)

    def _put_inside(self, child: Any) -> int:
        """The height of a container that was added to another."""
        entry = self._nested.get(id(child))
        if isinstance(child, _WITHOUT_TRASHCAN):
            if entry is None:
                self.charge(160)
                entry = self._nested[id(child)] = [child, 1, True]
            entry[2] = True
        return 1 if entry is None else entry[1]

    def _rise(self, parent: Any, height: int) -> None:
        entry = self._nested.get(id(parent))
        if entry is None:
            self.charge(160)
            entry = self._nested[id(parent)] = [parent, 1, False]
        if height > entry[1]:
            if entry[2]:
                self._grown_late += height - entry[1]
            entry[1] = height
        if height > MAX_NESTING or self._grown_late > MAX_NESTING:
            raise too_much(f"it nests containers more than {MAX_NESTING} deep")


def _is_light(item: Any) -> bool:
    """Whether hashing it is one step, so that it needs no note."""
    kind = type(item)
    if kind is str or kind is bytes:
        return len(item) < 1024
    return kind in _SCALARS or (kind is int and -MODULUS < item < MODULUS)


def _exported(item: Any) -> int:
    """The size of a buffer whose content is hashed and compared."""
    return item.nbytes if isinstance(item, memoryview) else 0


def _weight_of(leaf: Any) -> tuple[int, int, bool]:
    """(depth, work, whether they can change) of hashing and comparing a leaf."""
    kind = type(leaf)
    if kind is int:
        bits = leaf.bit_length()  # comparing it with a Decimal converts it in quadratic time
        return 0, 1 + (bits // 128) ** 2, False
    if kind is str or kind is bytes:
        return 0, 1 + len(leaf) // 1024, False
    return 0, 1, False


def _items_of(group: Any) -> Sequence[Any]:
    """The items of a tuple or frozenset, without calling the `__iter__` of a subclass."""
    if type(group) is tuple:
        return group
    return tuple(tuple.__iter__(group) if isinstance(group, tuple) else frozenset.__iter__(group))


def _parts(item: Any) -> Sequence[Any]:
    """The attributes that the hash of an object may depend on, found without running code of its class."""
    if isinstance(item, tuple | frozenset):
        return _items_of(item)
    kind: Any = type(item)
    if kind.__hash__ is object.__hash__:
        return ()  # it is hashed by its address
    return [value for _, value in attributes_of(item)]


def check_unfolded(size: int, stream: int) -> None:
    """Raises: Corrupt: shared parts would make the value far too large when it is written out."""
    if size > max(MAX_UNFOLDED, UNFOLDED_PER_BYTE * stream):
        raise too_much("its shared parts would take gigabytes when it is written out")
