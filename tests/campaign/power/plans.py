"""What is done to a store while it is recorded: steps that both the program that is recorded and the check know."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

SPILL_BYTES = 1000  # from which a value is a file
BACKUP = "-backup"
"""Behind the path of the store: where it is backed up to."""
GONE = None
"""The value of a name that a step deletes."""
Change = tuple[str, Any]
State = dict[str, Any]
States = list[tuple[State, ...]]
"""For each step what the store may hold after it: one state, or after a process was killed in it one of two."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call on the store, which returns before the next is made.

    "set" and "delete" have one change, "update" and "transaction" several; "thread" is a "set" on a connection of its
    own, "threads" and "processes" are such for each change, at the same time; "nothing", "compact", "reopen", "backup" and "restore" have none, nor has "upgrade": the store is closed, and opened by the
    release after this one. "to network", "from network": it is opened in that mode, or no more. "left folder": somebody was killed who had made the folder of
    large values, and nothing else yet. "killed backup": another process was, before it synced the first file.
    "opened backup": it was used as a store. "killed": another process is, in a "set", once so many `entries` of it are
    in the log.
    """

    kind: str
    changes: tuple[Change, ...] = ()
    entries: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps that are not recorded, so that all they did is on the disk; and those that are."""

    prepared: list[Step]
    steps: list[Step]

    def states(self) -> States:
        """What the store holds before the first recorded step, and after each."""
        state: State = {}
        for step in self.prepared:
            state = _changed(state, step)
        found: States = [(state,)]
        saved = state
        for step in self.steps:
            before, saved = state, state if step.kind == "backup" else saved
            state = saved if step.kind == "restore" else _changed(state, step)
            if step.kind in ("threads", "processes"):
                found.append(_between(before, step))
            else:
                found.append((before, state) if step.kind == "killed" else (state,))
        return found

    def upgrades(self) -> bool:
        """Whether the release after this one takes the store over."""
        return any(step.kind == "upgrade" for step in self.steps)


def _between(state: State, step: Step) -> tuple[State, ...]:
    """The states that changes may leave of which some were made, in any order."""
    some = [state]
    for change in step.changes:
        some += [_changed(before, Step("set", (change,))) for before in some]
    return tuple(some)


def _changed(state: State, step: Step) -> State:
    state = dict(state)
    for name, value in step.changes:
        if value is GONE:
            del state[name]
        else:
            state[name] = plain(value)
    return state


def plain(value: Any) -> Any:
    """A value as it can be compared: buffers as bytes."""
    if isinstance(value, list):
        return [plain(part) for part in value]
    return bytes(value) if isinstance(value, pickle.PickleBuffer | memoryview) else value


@dataclass
class _Draft:
    """Draws steps, and knows which names there are."""

    rng: Random
    names: list[str] = field(default_factory=list)
    made: int = 0

    def small(self) -> Any:
        self.made += 1
        return [self.made, self.rng.randbytes(self.rng.choice((1, 30, 300, 900)))]

    def large(self) -> Any:
        """Spilled: the body, or buffers beside it."""
        self.made += 1
        content = self.rng.randbytes(self.rng.choice((1100, 4096, 7000)))
        if self.rng.random() < 0.6:
            return content
        return [pickle.PickleBuffer(content), self.made, pickle.PickleBuffer(content[:1500])]

    def new(self, value: Any) -> Change:
        self.names.append(f"name {len(self.names)} of {self.made}")
        return self.names[-1], value

    def over(self, value: Any) -> Change:
        return self.rng.choice(self.names), value

    def gone(self) -> Change:
        return self.names.pop(self.rng.randrange(len(self.names))), GONE

    def put(self, value: Any) -> Step:
        return Step("set", (self.over(value) if self.names and self.rng.random() < 0.5 else self.new(value),))

    def delete(self) -> Step:
        return Step("delete", (self.gone(),))

    def several(self, kind: str, count: int, draw: Callable[[], Any]) -> Step:
        return Step(kind, tuple(self.new(draw()) for _ in range(count)))

    def any(self) -> Any:
        return self.large() if self.rng.random() < 0.4 else self.small()


def put(rng: Random) -> Plan:
    """Single assignments, from two connections, and a close in between."""
    draft = _Draft(rng)
    prepared = [draft.put(draft.small()) for _ in range(3)]
    steps = [draft.put(draft.small()) for _ in range(8)]
    steps.insert(3, Step("thread", (draft.new(draft.small()),)))
    steps.insert(6, Step("reopen"))
    steps.append(Step("thread", (draft.over(draft.small()),)))
    return Plan(prepared, steps)


def batch(rng: Random) -> Plan:
    """Many at once: `update` and transactions, with deletions in them."""
    draft = _Draft(rng)
    prepared = [draft.several("update", 5, draft.small)]

    def mixed() -> Step:
        parts = draft.several("transaction", 3, draft.any).changes
        return Step("transaction", (*parts, draft.over(draft.small()), draft.gone()))

    return Plan(prepared, [draft.several("update", 12, draft.any), mixed(), draft.several("update", 6, draft.small), mixed()])


def together(rng: Random) -> Plan:
    """Threads and processes write at the same time, and share syncs; "nothing" begins once all have returned."""
    draft = _Draft(rng)
    prepared = [draft.put(draft.small()) for _ in range(2)]
    steps = []
    for kind in ("threads", "processes", "threads", "processes"):
        steps += [draft.several(kind, 4, draft.small), Step("nothing"), draft.put(draft.small())]
    return Plan(prepared, steps)


def delete(rng: Random) -> Plan:
    """Deletions, singly and together."""
    draft = _Draft(rng)
    prepared = [draft.several("update", 14, draft.any)]
    steps = [draft.delete() for _ in range(6)]
    steps.insert(2, draft.put(draft.small()))
    return Plan(prepared, [*steps, Step("transaction", tuple(draft.gone() for _ in range(4))), draft.delete()])


def spill(rng: Random) -> Plan:
    """Large values: new, replaced by large and small ones, deleted; beside old ones, or the first of the store."""
    draft = _Draft(rng)
    if rng.random() < 0.5:
        return Plan([draft.put(draft.large())], [*_life(draft), *_life(draft)])
    return Plan([], [draft.put(draft.small()), Step("left folder"), *_life(draft), *_life(draft)])


def _life(draft: _Draft) -> Iterator[Step]:
    yield Step("set", (draft.new(draft.large()),))
    yield Step("set", (draft.over(draft.large()),))
    yield draft.put(draft.large())
    yield Step("set", (draft.over(draft.small()),))
    yield draft.delete()


def compact(rng: Random) -> Plan:
    """What was deleted is given back, twice, and written over between."""
    draft = _Draft(rng)
    prepared = [draft.several("update", 30, draft.any)]
    steps = [Step("transaction", tuple(draft.gone() for _ in range(20))), Step("compact")]
    steps += [draft.put(draft.any()), draft.delete(), draft.put(draft.large())]
    return Plan(prepared, [*steps, Step("compact"), draft.put(draft.small())])


def migrate(rng: Random) -> Plan:
    """A store and the user's key are made; the first records."""
    draft = _Draft(rng)
    first = draft.put(draft.any())
    return Plan([], [first, draft.put(draft.large()), Step("reopen"), draft.put(draft.small())])


def killed(rng: Random) -> Plan:
    """Processes are killed in an assignment to a name; the next one assigns to it, and builds on what they left."""
    draft = _Draft(rng)
    prepared = [draft.put(draft.small()) for _ in range(3)]
    steps = []
    for _ in range(4):
        name = rng.choice(draft.names)
        steps.append(Step("killed", ((name, draft.any()),), rng.randint(1, 40)))
        steps.append(Step("set", ((name, draft.any()),)))
    return Plan(prepared, [*steps, Step("reopen"), draft.delete()])


def network(rng: Random) -> Plan:
    """The file is taken over by network mode, with a rollback journal, and back."""
    draft = _Draft(rng)
    prepared = [draft.put(draft.small()) for _ in range(3)]
    inside = [draft.put(draft.any()), draft.several("transaction", 3, draft.any), draft.delete(), Step("compact")]
    return Plan(prepared, [Step("to network"), *inside, Step("from network"), draft.put(draft.small())])


def upgrade(rng: Random) -> Plan:
    """The file of one release is opened by the next, which adds to its tables."""
    draft = _Draft(rng)
    prepared = [draft.several("update", 5, draft.any)]
    return Plan(prepared, [draft.put(draft.any()), Step("upgrade"), draft.put(draft.any()), draft.delete()])


def restore(rng: Random) -> Plan:
    """A backup is put back over the store."""
    draft = _Draft(rng)
    prepared = [draft.several("update", 4, draft.any), draft.put(draft.large())]
    names = list(draft.names)
    steps = [Step("backup"), draft.put(draft.large()), draft.delete(), draft.put(draft.small()), Step("restore")]
    draft.names = names
    return Plan(prepared, [*steps, draft.put(draft.large()), draft.delete()])


def backup(rng: Random) -> Plan:
    """Two backups to one place, the second over the first, with changes between; one was killed before each."""
    draft = _Draft(rng)
    prepared = [draft.several("update", 4, draft.any), draft.put(draft.large())]
    steps = [Step("killed backup"), Step("backup"), draft.put(draft.large()), draft.delete()]
    steps.append(draft.several("update", 12, lambda: rng.randbytes(900)))  # the second has more pages than the first
    return Plan(prepared, [*steps, Step("opened backup"), Step("killed backup"), Step("backup"), draft.delete()])


PLANS: dict[str, Callable[[Random], Plan]] = {
    plan.__name__: plan for plan in (put, batch, together, delete, spill, compact, killed, network, migrate, upgrade, backup, restore)
}
