"""What a writer does until it is killed, told before and after each operation; and what its own records then are.

Names are each writer's own, but for a few that all of them count in. A writer says `>` and the operation before it
begins, and `<` with what came of it when it has returned.
"""

from __future__ import annotations

import json
import os
import sys
from itertools import count
from pathlib import Path
from pickle import PickleBuffer
from random import Random
from typing import Any, NoReturn

from store import Store
from store.engines.sqlite.engine import checkpoints as sqlite_checkpoints
from store.errors import LockTimeout
from store.trust.keys.changing import add_key, retire_key
from store.trust.keys.file import read_key_file
from store.trust.keys.ring import default_key_file

from . import migrations
from .killer import Killer

SPILL_BYTES = 1000
LOG_FRAMES = 40  # a checkpoint that often
TIMEOUT = 60.0  # seconds
COMPACT_SECONDS = 0.05  # how long a compact() waits for those that write files
LIFETIME = 1e6  # seconds, of a clock that stands still; purge() is asked by one that is later
NOW = 1_800_000_000.0
SIZES = {"row": 60, "body": 2500, "buffers": 2500}  # bytes
NAMES = 8  # of each writer's own

Token = list[Any]  # writer, life, number, kind: which write a value is of
Operation = dict[str, Any]
State = dict[str, Any]  # place → token: a writer's own names, its passing ones, the files it made

WEIGHTS = {
    "set": 6, "body": 4, "buffers": 4, "delete": 4, "edit": 4, "modify": 4, "transaction": 4, "update": 4, "expiring": 2,
    "purge": 1, "count": 3, "tally": 3, "pair": 3, "guarded": 2, "compact": 2, "create": 1, "migrate": 1, "rotate": 1,
}  # fmt: skip
KINDS = list(WEIGHTS)


class Buffered:
    """Hands out its data beside the pickle, as an array does."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Buffered, (PickleBuffer(self.data),)

    def __bytes__(self) -> bytes:
        return bytes(self.data)


def data_of(token: Token) -> bytes:
    return Random(json.dumps(token)).randbytes(SIZES[token[3]])


def value_of(token: Token) -> dict[str, Any]:
    data = data_of(token)
    return {"token": token, "data": Buffered(bytearray(data)) if token[3] == "buffers" else data}


def token_of(value: Any) -> Token:
    """Which write a value is of. Raises: ValueError: it is half of one."""
    token: Token = value["token"]
    if bytes(value["data"]) != data_of(token):
        raise ValueError(f"{token} was written with other data than is found")
    return token


def chosen(rng: Random, writer: int, life: int, number: int, kind: str | None = None) -> Operation:
    """The next operation, with all that it needs; `kind` instead of one that is drawn."""
    kind = kind or rng.choices(KINDS, list(WEIGHTS.values()))[0]
    names = [f"{writer}/{name}" for name in rng.sample(range(NAMES), 4)]
    tokens = [[writer, life, number, rng.choice(list(SIZES))] for _ in names]
    tokens[0][3] = kind if kind in SIZES else "row" if kind == "set" else tokens[0][3]
    return {"kind": kind, "names": names, "tokens": tokens, "file": f"{writer}-{life}-{number}.db"}


def after(state: State, operation: Operation) -> State:
    """What a writer's own records are once it is done; what others write too is not in it."""
    kind, names, tokens = operation["kind"], operation["names"], operation["tokens"]
    new: State = dict(state)
    if kind in ("set", "body", "buffers", "edit", "modify"):
        new[names[0]] = tokens[0]
    elif kind == "delete":
        new.pop(names[0], None)
    elif kind == "update":
        new.update(zip(names, tokens, strict=True))
    elif kind == "transaction":
        new[names[0]], new[names[2]] = tokens[0], tokens[2]
        new.pop(names[1], None)
    elif kind == "expiring":
        new[f"passing {names[0]}"] = tokens[0]
    elif kind == "purge":
        new = {place: token for place, token in state.items() if not place.startswith("passing ")}
    elif kind == "tally":
        new["tally"] = state.get("tally", 0) + 1
    elif kind in ("create", "migrate"):
        new[f"{kind} {operation['file']}"] = tokens[0]
    return new


class Writer:
    """One life of a writer, in a process of its own."""

    def __init__(self, path: Path, number: int, life: int, rng: Random, out: int) -> None:
        self.path, self.number, self.life, self.rng, self.out = path, number, life, rng, out
        sqlite_checkpoints.LOG_FRAMES = LOG_FRAMES

    def run(self, first: str, steps: int = 0) -> None:
        """Write until killed, an operation of the kind `first` first; from then on for so many steps, 0: for ever."""
        options: dict[str, Any] = {"spill_bytes": SPILL_BYTES, "trust": "own", "timeout": TIMEOUT}
        with Store[Any](self.path, **options, clock=lambda: NOW) as self.store:
            self.passing = self.store.within(f"passing {self.number}")
            with (
                Store[Any](
                    self.path, namespace=self.passing.namespace, timeout=TIMEOUT, clock=lambda: NOW + 2 * LIFETIME
                ) as self.later,
                Store[Any](self.path, timeout=COMPACT_SECONDS) as self.hasty,
            ):
                if steps:
                    sys.setprofile(Killer(steps))
                self.write(first)

    def write(self, first: str) -> NoReturn:
        for number in count():
            operation = chosen(self.rng, self.number, self.life, number, None if number else first)
            self.tell(">", operation)
            self.tell("<", getattr(self, operation["kind"])(operation))
        raise AssertionError("it writes for ever")

    def tell(self, mark: str, what: Any) -> None:
        os.write(self.out, f"{mark}{json.dumps(what)}\n".encode())  # below PIPE_BUF: all of it or nothing

    def set(self, operation: Operation) -> None:
        self.store[operation["names"][0]] = value_of(operation["tokens"][0])

    body = buffers = set

    def delete(self, operation: Operation) -> None:
        self.store.pop(operation["names"][0], None)

    def edit(self, operation: Operation) -> None:
        with self.store.edit(operation["names"][0], default={}) as value:
            value.update(value_of(operation["tokens"][0]))

    def modify(self, operation: Operation) -> None:
        self.store.modify(operation["names"][0], lambda _: value_of(operation["tokens"][0]), default=None)

    def transaction(self, operation: Operation) -> None:
        names, tokens = operation["names"], operation["tokens"]
        with self.store.transaction():
            self.store[names[0]] = value_of(tokens[0])
            self.store.pop(names[1], None)
            with self.store.transaction():
                self.store[names[2]] = value_of(tokens[2])

    def update(self, operation: Operation) -> None:
        self.store.update(zip(operation["names"], map(value_of, operation["tokens"]), strict=True))

    def expiring(self, operation: Operation) -> None:
        self.passing.put(operation["names"][0], value_of(operation["tokens"][0]), ttl=LIFETIME)

    def purge(self, _: Operation) -> None:
        self.later.purge()

    def count(self, _: Operation) -> None:
        self.store.modify("count", lambda count: count + 1)

    def tally(self, _: Operation) -> None:
        with self.store.edit("tally") as tally:
            tally[self.number] = tally.get(self.number, 0) + 1

    def pair(self, _: Operation) -> None:
        with self.store.transaction():
            self.store["left"] = left = self.store["left"] + 1
            self.store["right"] = left

    def guarded(self, _: Operation) -> None:
        with self.store.lock("guarded", timeout=TIMEOUT):
            self.store["guarded"] += 1

    def compact(self, _: Operation) -> None:
        try:
            self.hasty.compact()
        except LockTimeout:
            pass

    def create(self, operation: Operation) -> None:
        with Store[Any](self.path.with_name(operation["file"])) as new:
            new["a"] = value_of(operation["tokens"][0])

    def migrate(self, operation: Operation) -> None:
        copy = migrations.old_copy(self.path.with_name(operation["file"]))
        migrations.opened(copy)

    def rotate(self, _: Operation) -> dict[str, str]:
        """A new key, and of many the last that seals is retired."""
        file = default_key_file()
        made = add_key(file)
        sealing = [key.id for key in read_key_file(file) if not key.retired]
        if len(sealing) <= 6:  # with fewer, writers that do the same at once could find none left
            return {"made": made.id.hex()}
        retire_key(file, sealing[-1])
        return {"made": made.id.hex(), "retired": sealing[-1].hex()}
