"""The part of a value that cannot be encoded, found after encoding the whole has failed.

    find(value, encode, protocol)    -> Culprit: its path, itself, and what encoding just it raised
    explain(culprit)                 -> "value['conn'].pool[3].socket: cannot pickle 'socket' object"
    remedy(culprit, codec, installed) -> "leave it out: give app.Connection a __getstate__"
    error_for(value, encode, protocol, codec) -> NotSerializable, which says all of that

The search walks the parts breadth-first, each object once, and asks the codec about many of them in one probe.
A level that holds the parts of the level above fails only if that one does, so halving finds the deepest level
that fails, and halving again an object in it: a logarithm of probes for depth and for width. Objects in a
cycle all fail, because each holds the others; a way that ends in one is a dead end, and the search goes on
with everything that it had put off. How paths are written: `culprit_path`.
"""

from __future__ import annotations

from collections.abc import Callable
from pickle import HIGHEST_PROTOCOL
from types import FunctionType
from typing import Any

from store.errors import NotSerializable
from store.values.culprit.message import Culprit, explain, remedy, too_deep
from store.values.culprit.parts import Part, Way, parts
from store.values.culprit.path import Node, holder_of, path_of

__all__ = ["Culprit", "error_for", "explain", "find", "remedy"]

PROBES = 300  # then the deepest part known to fail is the answer; each costs at most what encoding the value does
LOOK_AHEAD = 256  # objects to go into before the first probe; doubled each time
MOST_AHEAD = 32_768  # and then no further: an object may be made of new ones without an end
LAST_RESORT = 50  # objects to ask one by one when the only failing ways are circles
CHECKED = 16  # objects above the culprit that are asked whether they fail too
IMMUTABLE_TYPE = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE: no class statement made it
Encode = Callable[[Any], object]


def find(value: Any, encode: Encode, protocol: int) -> Culprit | None:
    """The innermost part that cannot be encoded by itself; None if the whole now can be.

    To be called after a failure, with the codec's own `encode(part)`, which raises. What the program's code
    raises meanwhile is never passed on.

    Raises:
        MemoryError: encoding a part raised it.
    """
    probe = _Probe(encode)
    root = Node(None, value)
    error = probe.error_of(root)
    if error is None:
        return None
    way = Way(max(0, min(protocol, HIGHEST_PROTOCOL)), probe.by_value)
    node = root if too_deep(error) else _instance(_found(root, probe, way))
    alone = error if node is root else probe.error_of(node) or probe.last
    return Culprit(path_of(node), node.value, alone, holder_of(node))


def error_for(value: Any, encode: Encode, protocol: int, codec: str) -> NotSerializable | None:
    """The error for a value that could not be encoded; None if it now can be. Raises: as `find`."""
    from importlib.util import find_spec

    found = find(value, encode, protocol)
    if found is None:
        return None
    what_to_do = remedy(found, codec, lambda library: find_spec(library) is not None)
    return NotSerializable(f"{explain(found)}; {what_to_do}", path=found.path)


def _found(root: Node, probe: _Probe, way: Way) -> Node:
    """The culprit's node. A part found inside something that can be encoded after all is no culprit."""
    sound: dict[int, Node] = {}  # such parts, kept alive so that their ids stay theirs
    while True:
        search = _Search(root, probe, way, sound)
        try:
            search.best = search.run()
            liar = _sound_above(search.best, probe) if probe.by_value() else None
        except _Spent:
            return search.best
        if liar is None:
            return search.best
        sound[id(liar.value)] = liar


def _sound_above(node: Node, probe: _Probe) -> Node | None:
    """An object above the node that can be encoded, by a codec that has ways of its own for some classes."""
    above = [each for each in node.chain()[1:-1] if type(each.value) not in (list, tuple, dict, set, frozenset)]
    return next((each for each in reversed(above[-CHECKED:]) if not probe.fails([each])), None)


def _instance(node: Node) -> Node:
    """The object itself where pickle, at protocols 0 and 1, complains of the class that C code gave it."""
    above = node.parent
    if above is not None and node.value is type(above.value) and node.value.__flags__ & IMMUTABLE_TYPE:
        return above
    return node


class _Spent(Exception):
    """There are no probes left."""


class _Probe:
    """Asks the codec, a bounded number of times."""

    def __init__(self, encode: Encode) -> None:
        self._encode, self._left = encode, PROBES
        self._by_value: bool | None = None
        self.last: Exception = RuntimeError("it cannot be encoded")

    def error_of(self, node: Node) -> Exception | None:
        """What encoding it alone raises. It is always asked: the answer is the result."""
        return self._raised(node.value)

    def fails(self, nodes: list[Node]) -> bool:
        """Whether any of them cannot be encoded. Raises: _Spent."""
        if not nodes:
            return False
        if not self._left:
            raise _Spent
        self._left -= 1
        return self._raised(nodes[0].value if len(nodes) == 1 else [node.value for node in nodes]) is not None

    def by_value(self) -> bool:
        """Whether the codec goes into functions that have no name to import."""
        if self._by_value is None:
            trial = FunctionType((lambda: None).__code__, {"__name__": "nowhere"})
            last = self.last
            self._by_value = self._raised(trial) is None
            self.last = last
        return self._by_value

    def _raised(self, value: Any) -> Exception | None:
        try:
            self._encode(value)
        except MemoryError:
            raise
        except Exception as exc:
            self.last = exc
            return exc
        return None


class _Search:
    """One search from the whole value down. `best` is the deepest part that is known to fail."""

    def __init__(self, root: Node, probe: _Probe, way: Way, sound: dict[int, Node]) -> None:
        self.best, self._probe, self._way, self._sound = root, probe, way, sound
        self._seen: dict[int, Any] = {id(root.value): root.value}
        self._expanded: list[Node] = []
        self._put_off: list[Node] = []
        self._ahead = LOOK_AHEAD

    def run(self) -> Node:
        """The culprit. Raises: _Spent."""
        suspects = [self.best]
        while suspects:
            levels, opaque = self._go_into(suspects)
            if self._probe.fails(opaque):
                node = self._one_of(opaque)
                return self._own_fault(node) or node
            last = self._deepest(levels)
            node = self._one_of(levels[last] if last >= 0 else suspects)
            self.best = node
            if 0 <= last == len(levels) - 1:  # as far as was looked: there may be more below
                suspects = [node]
                continue
            culprit = self._own_fault(node)
            if culprit is not None:
                return culprit
            suspects, self._put_off = self._put_off if self._probe.fails(self._put_off) else [], []
        return self._any_own_fault()

    def _go_into(self, nodes: list[Node]) -> tuple[list[list[Node]], list[Node]]:
        """Levels of objects not seen before, and those of the ones gone into that have no parts at all.

        The last level has not been gone into, unless it is empty.
        """
        levels: list[list[Node]] = []
        opaque: list[Node] = []
        count = 0
        while nodes and (not levels or count < self._ahead):
            fresh: list[Node] = []
            for node in nodes:
                made_of = self._parts_of(node)
                if not made_of:
                    opaque.append(node)
                fresh += self._not_seen(node, made_of)
            self._expanded += nodes
            levels.append(fresh)
            count += len(fresh)
            nodes = fresh
        self._ahead = min(self._ahead * 2, MOST_AHEAD)
        return levels, opaque

    def _parts_of(self, node: Node, atoms: bool = False) -> list[Part]:
        """What a node is made of that has parts of its own, or what has none."""
        if id(node.value) in self._sound:
            return []
        return parts(node.value, self._way._replace(atoms=atoms))

    def _not_seen(self, node: Node, made_of: list[Part]) -> list[Node]:
        seen, fresh = self._seen, []
        for part in made_of:
            if id(part[0]) not in seen:
                seen[id(part[0])] = part[0]  # and keeps it alive: ids of the dead are used again
                fresh.append(Node(node, *part))
        return fresh

    def _deepest(self, levels: list[list[Node]]) -> int:
        """The deepest level that fails, or -1: below one that passes, all pass."""
        low, high = -1, len(levels) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self._probe.fails(levels[middle]):
                low = middle
            else:
                high = middle - 1
        return low

    def _one_of(self, nodes: list[Node]) -> Node:
        """One that fails, of nodes that fail together; the others are put off unless they are known to pass."""
        while len(nodes) > 1:
            left, right = nodes[: len(nodes) // 2], nodes[len(nodes) // 2 :]
            if self._probe.fails(left):
                self._put_off += right
                nodes = left
            else:
                nodes = right
        return nodes[0]

    def _own_fault(self, node: Node) -> Node | None:
        """The node, or a plain part of it, if all that it is made of can be encoded; else None."""
        atoms = [Node(node, *part) for part in self._parts_of(node, atoms=True)]
        if self._probe.fails(atoms):
            return self._one_of(atoms)
        others = [Node(node, *part) for part in self._parts_of(node)]
        return None if self._probe.fails(others) else node

    def _any_own_fault(self) -> Node:
        """The deepest of all that was gone into which fails though its parts do not; else the best known."""
        for node in reversed(self._expanded[-LAST_RESORT:]):
            if self._probe.fails([node]):
                culprit = self._own_fault(node)
                if culprit is not None:
                    return culprit
        return self.best
