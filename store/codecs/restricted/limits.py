"""What a restricted decode may cost: one budget, in bytes, for memory and for work alike.

Every step of the decoder charges what it allocates, or what it makes Python do, so that neither a few bytes
that ask for gigabytes nor a few that ask for hours get them. A charged byte stands for about 12 ns of work.
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
BYTES_PER_BYTE = 32  # what plain data takes in memory for each byte of pickle, generously
HASH_STEP = 32  # what hashing or comparing one item of a key is charged
WALK_STEP = 192  # what looking at one part of a key is charged, where its parts can change
MAX_DEPTH = 100  # of tuples in tuples: hashing them recurses in C without a check
MAX_COLLISIONS = 256  # keys of one hash in one container; each new one is compared with all of them
MAX_NESTING = 500  # of containers that CPython takes apart by recursion; 1,300 fill a stack of 256 KB
MODULUS = 2**61 - 1  # integers below it never share a hash (sys.hash_info.modulus)

MAX_UNFOLDED = 1 << 32  # as `shown.size_of` counts, where what the stream holds several times counts as often
UNFOLDED_PER_BYTE = 4096  # of the stream

_TIMED = 10_000  # entries of a container from which filling it is timed
_PIECE = 128  # entries filled between two looks at the clock
_SECONDS = 1.0  # of processor time that filling large containers may take, and so much more per entry:
_SECONDS_PER_ENTRY = 20e-6  # some 30 times what it takes

_SCALARS = frozenset({bool, type(None), float, complex})
_UNHASHABLE = (list, dict, set, bytearray, collections.deque)
# Neither has the "trashcan" by which CPython bounds the recursion of its destructors (Objects/object.c).
_WITHOUT_TRASHCAN = (collections.defaultdict, collections.deque, slice, BaseException)
# 3.13 bounds it for no container before 10,000 levels; 3.14 looks at the stack.
_RECURSIVE: tuple[type, ...] = (object,) if sys.version_info[:2] == (3, 13) else _WITHOUT_TRASHCAN
_LEAVES = frozenset({str, bytes, int, float, complex, bool, type(None)})


class Budget:
    """Counts down from an allowance that grows with the size of the stream."""

    def __init__(self) -> None:
        self.left = BASE_BYTES
        self.size = 0  # bytes of the stream
        self._groups: dict[int, tuple[Any, int, int, bool]] = {}  # id → a tuple or frozenset, say, and its weight
        self._hashes: dict[int, tuple[Any, dict[int, int]]] = {}  # id → a container, how often each hash occurs
        self._nested: dict[int, list[Any]] = {}  # id → [a container, its height, whether it is inside another]
        self._grown_late = 0
        self._seconds = 0.0  # spent on filling large containers
        self._entries = 0  # put into them

    def grow(self, size: int) -> None:
        """So many bytes of the stream are there."""
        self.size += size
        self.left += size * BYTES_PER_BYTE

    def renew(self) -> None:
        """The next pickle of a file begins: what the last ones took is the program's by now."""
        self.left = max(self.left, BASE_BYTES)

    def charge(self, size: int) -> None:
        """Raises: Corrupt: the allowance is used up."""
        self.left -= size
        if self.left < 0:
            raise too_much("it would take more memory or time than plain data of its size can need")

    # -- keys

    def track(self, group: Sequence[Any] | frozenset[Any]) -> None:
        """Note how deep a new tuple or frozenset is, and what hashing it costs."""
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
        """Note what hashing or comparing a new object costs, where its type does not tell."""
        self.charge(300)
        self._groups[id(item)] = item, 1, work, False

    def charge_key(self, container: Any, key: Any) -> None:
        """A key is about to be hashed, and compared with those of its hash that are there.

        Raises:
            Corrupt: too costly. TypeError: it cannot be hashed.
        """
        kind = type(key)
        if kind is str or kind is bytes:  # hashed with a secret; equal ones are compared to the end
            self.left -= HASH_STEP + len(key) // 64
        elif kind is bool or key is None or (kind is int and -MODULUS < key < MODULUS):  # too few to collide
            self.left -= HASH_STEP
        else:
            self._charge_chosen(container, key)
        if self.left < 0:
            self.charge(0)

    def _charge_chosen(self, container: Any, key: Any) -> None:
        """A key whose hash its author can choose."""
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
        """A class of the program may hash what it is given; `walked`: objects whose state changed are looked at."""
        for arg in args:
            items = arg if type(arg) in (list, collections.deque) else (arg,)
            self.charge(sum(HASH_STEP * self._work(item, walked) for item in items if not _is_light(item)))

    def _work(self, item: Any, walked: bool) -> int:
        _, work, changing = self._weigh(item)
        if changing and walked and type(item).__hash__ is not None:
            return self._walk(item)
        return work

    def forget(self, container: Any) -> None:
        """The container is no longer filled, and need not be kept."""
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
        """The work of hashing a key with objects in it, whose state may have changed since they were put there.

        A part is counted as often as it is met: so often is it hashed.
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
                work += 1 + len(item)  # a class may hash a copy of it; what it holds is its own business
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
        """The items, in pieces of whole entries; what the caller does with one is timed where there are many.

        `filled`: entries that are there. `seconds_per_entry`: what the program's own code may take beside.

        Integers can be chosen so that each one meets thousands of others in a dict, though no two share a hash: the
        order in which it probes its slots is known (Objects/dictobject.c). How many it probed only the time tells.
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
        """Values are put into a container; those that are destroyed by recursion may not be nested too deep.

        A container that grows when it is inside another already makes those around it higher than is known here:
        by how much in all is bounded too. So no chain is longer than the two bounds together.
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
        """The height of a container that is now inside another."""
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
    """Whether hashing it is one step, and no more need be known of it."""
    kind = type(item)
    if kind is str or kind is bytes:
        return len(item) < 1024
    return kind in _SCALARS or (kind is int and -MODULUS < item < MODULUS)


def _exported(item: Any) -> int:
    """The bytes of a buffer, which are hashed and compared with it."""
    return item.nbytes if isinstance(item, memoryview) else 0


def _weight_of(leaf: Any) -> tuple[int, int, bool]:
    """(depth, work, whether they can change) of hashing and comparing a leaf."""
    kind = type(leaf)
    if kind is int:
        bits = leaf.bit_length()  # compared with a Decimal it is converted, in quadratic time
        return 0, 1 + (bits // 128) ** 2, False
    if kind is str or kind is bytes:
        return 0, 1 + len(leaf) // 1024, False
    return 0, 1, False


def _items_of(group: Any) -> Sequence[Any]:
    """The items of a tuple or frozenset; a subclass may say otherwise in its `__iter__`."""
    if type(group) is tuple:
        return group
    return tuple(tuple.__iter__(group) if isinstance(group, tuple) else frozenset.__iter__(group))


def _parts(item: Any) -> Sequence[Any]:
    """What the hash of an object may be computed from: its attributes, found without running code of its class."""
    if isinstance(item, tuple | frozenset):
        return _items_of(item)
    kind: Any = type(item)
    if kind.__hash__ is object.__hash__:
        return ()  # it is hashed by its address
    return [value for _, value in attributes_of(item)]


def check_unfolded(size: int, stream: int) -> None:
    """Raises: Corrupt: what a stream holds several times would be out of all proportion when it is written out."""
    if size > max(MAX_UNFOLDED, UNFOLDED_PER_BYTE * stream):
        raise too_much("what it holds more than once would take gigabytes when it is written out")
