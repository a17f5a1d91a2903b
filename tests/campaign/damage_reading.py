"""Reads all of a damaged store in every way there is, and judges the answers."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from store import Store
from store.errors import StoreError

from .damage_templates import KEY, NOW, State, Template
from .sqlite_pages import Owner

ABSENT: Any = object()
RAISED: Any = object()
NOBODY = "nobody ever had this name"
THIN = 3


@dataclass
class Reading:
    """Every answer that was got: a value, ABSENT, or RAISED, by the way of reading and the record."""

    opened: bool = True
    answers: dict[tuple[str, Owner], Any] = field(default_factory=dict)
    lengths: dict[str, Any] = field(default_factory=dict)
    names: dict[str, Any] = field(default_factory=dict)
    pairs: dict[str, Any] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    verified: bool = True
    """Whether `verify` found nothing."""

    def attempt(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except KeyError:
            return ABSENT
        except StoreError as exc:
            self.errors.append(f"{type(exc).__name__}: {exc}")
            return RAISED


def read(template: Template, path: Path, turn: int, hit: Collection[Owner | None]) -> Reading:
    """The answers that the file gives now; whatever is no StoreError and no KeyError goes through.

    Every record is read along with others. One by one are read those that were `hit` and, where nothing raised so
    far, one in THIN of the rest, by `turn`.
    """
    reading = Reading()
    try:
        s: Store[Any] = Store(path, key=KEY, clock=lambda: NOW, timeout=1, verify_buffers=True)
    except StoreError as exc:
        reading.opened = False
        reading.errors.append(f"{type(exc).__name__}: {exc}")
        return reading
    with s:
        wanted = {owner for state in template.states for owner in state} | set(template.older)
        for namespace in sorted({namespace for namespace, _ in wanted}):
            with s.within(namespace) as there:
                _read_namespace(reading, there, wanted, turn, hit)
        reading.verified = _is_sound(s)
    return reading


def _read_namespace(
    reading: Reading, s: Store[Any], wanted: set[Owner], turn: int, hit: Collection[Owner | None]
) -> None:
    namespace = s.namespace
    names = [name for space, name in sorted(wanted) if space == namespace]
    reading.lengths[namespace] = reading.attempt(lambda: len(s))
    reading.names[namespace] = reading.attempt(lambda: (s.names(), list(s)))
    many = reading.attempt(lambda: s.get_many(names))
    reading.pairs[namespace] = reading.attempt(lambda: list(s.items()))
    answers = reading.answers
    thin = THIN if many is not RAISED and not reading.errors else 1
    for number, name in enumerate([*names, NOBODY], turn):
        owner = namespace, name
        if many is not RAISED:
            answers["get_many", owner] = many.get(name, ABSENT)
        if number % thin and owner not in hit:
            continue
        answers["in", owner] = reading.attempt(lambda name=name: name in s)
        answers["get", owner] = reading.attempt(lambda name=name: s[name])
    for name in names[:: max(1, len(names) // 6)]:
        answers["record", (namespace, name)] = reading.attempt(lambda name=name: s.record(name).name)
    if many is RAISED:  # one that is damaged spoils it for the others: ask for those that are not
        sound = [name for name in names if answers["get", (namespace, name)] is not RAISED]
        many = reading.attempt(lambda: s.get_many(sound))
        for name in sound:
            answers["get_many", (namespace, name)] = RAISED if many is RAISED else many.get(name, ABSENT)


def _is_sound(s: Store[Any]) -> bool:
    try:
        return s.verify().ok
    except StoreError:
        return False


@dataclass
class Judgement:
    """What the answers are worth. `wrong` is what must never be; the others are counts of records and of ways."""

    wrong: list[str] = field(default_factory=list)
    raised: int = 0
    missing: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)


def judge(template: Template, reading: Reading, state: State) -> Judgement:
    """The answers against what was stored."""
    found = Judgement()
    if not reading.opened:
        found.raised = len(state)
        return found
    for (way, owner), answer in reading.answers.items():
        if answer is RAISED:
            found.raised += 1
        elif way == "in":
            _judge(found, template, owner, way, answer or ABSENT, owner in state or ABSENT)
        elif way == "record":
            _judge(found, template, owner, way, answer, owner[1] if owner in state else ABSENT)
        else:
            _judge(found, template, owner, way, answer, state.get(owner, ABSENT))
    for namespace, length in reading.lengths.items():
        _judge_namespace(found, template, reading, namespace, length, state)
    return found


def _judge(found: Judgement, template: Template, owner: Owner, way: str, answer: Any, truth: Any) -> None:
    if answer is truth or (answer is not ABSENT and truth is not ABSENT and type(answer) is type(truth) and answer == truth):
        return
    if way in ("in", "record") and truth is ABSENT and owner in template.expired:
        return  # it is there, and the seal, which knows that its lifetime is damaged, was not asked
    text = f"{way} {owner!r:.60}: {answer!r:.80} instead of {truth!r:.80}"
    if answer is ABSENT:
        found.missing.append(text)
    elif answer in template.older.get(owner, []):
        found.stale.append(text)
    else:
        found.wrong.append(text)


def _judge_namespace(
    found: Judgement, template: Template, reading: Reading, namespace: str, length: Any, state: State
) -> None:
    mine = {name: value for (space, name), value in state.items() if space == namespace}
    if length is RAISED:
        found.raised += 1
    elif length != len(mine):
        found.missing.append(f"len of {namespace!r} is {length} instead of {len(mine)}")
    if reading.names[namespace] is RAISED:
        found.raised += 1
    else:
        for way, names in zip(("names()", "iter"), reading.names[namespace], strict=True):
            expected = sorted(mine) if way == "names()" else list(mine)
            if names != expected:
                dead = {name for space, name in template.expired if space == namespace}
                _judge_listing(found, way, [name for name in names if name not in dead], expected)
    pairs = reading.pairs[namespace]
    if pairs is RAISED:
        found.raised += 1
        return
    for name, value in pairs:
        _judge(found, template, (namespace, name), "items", value, mine.get(name, ABSENT))
    _judge_listing(found, "items", [name for name, _ in pairs], list(mine))


def _judge_listing(found: Judgement, way: str, names: list[str], expected: list[str]) -> None:
    strange = set(names) - set(expected)
    if strange or len(names) != len(set(names)):
        found.wrong.append(f"{way} has {sorted(strange)!r:.80}, or some twice")
    elif names != expected:
        if [name for name in expected if name in set(names)] != names:
            found.wrong.append(f"{way} is out of order")
        else:
            found.missing.append(f"{way} lacks {sorted(set(expected) - set(names))!r:.80}")
