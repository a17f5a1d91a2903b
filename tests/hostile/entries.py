"""Hands the pickle on stdin to one way in, as a record of somebody else, and tells what it took, as JSON.

    python entries.py store|messages|import|command FOLDER <pickle
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import victims
from pace import slowness
from peak import peak_bytes

from store import Store
from store.codecs.pickle import PickleCodec
from store.errors import StoreError
from store.importers import import_into
from store.messages import stream as messages
from store.values.readback import ReadBack

KEY, OURS = b"somebody else's, and long enough", b"our own one, and long enough too"
ALLOW = [f"victims.{cls.__qualname__}" for cls in victims.ALLOWED]


class Body:
    """Stands for the value of a pickle."""

    def __init__(self, pickle: bytes) -> None:
        self.pickle = pickle


@contextlib.contextmanager
def planting() -> Iterator[None]:
    """Inside, the codec writes the pickle of a `Body` as it is, as an attacker's own program would."""
    with (
        mock.patch.object(PickleCodec, "encode", lambda self, value, protocol, callback=None: value.pickle),
        mock.patch.object(ReadBack, "check", lambda *args: None),
    ):
        yield


def planted(path: Path, body: bytes) -> None:
    with planting(), Store[Any](path, key=KEY) as s:
        s["it"] = Body(body)


def by_store(folder: Path) -> None:
    with Store[Any](folder / "a.db", key=OURS, allow=ALLOW) as s:
        s["it"]


def by_messages(folder: Path, body: bytes) -> None:
    sent = io.BytesIO()
    with planting():
        messages.send(sent, Body(body))
    messages.receive(io.BytesIO(sent.getvalue()), allow=ALLOW)


def by_import(folder: Path) -> None:
    with Store[Any](folder / "b.db", key=OURS) as s:
        list(import_into(s, "pickles", folder / "source", allow=ALLOW))


def by_command(folder: Path) -> None:
    for command in (["get", str(folder / "a.db"), "it"], ["inspect", str(folder / "a.db"), "it"]):
        subprocess.run(
            [sys.executable, "-m", "store", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
            env={**os.environ, "STORE_KEY": OURS.decode()},
        )  # fmt: skip


def main() -> None:
    way, folder = sys.argv[1], Path(sys.argv[2])
    body = sys.stdin.buffer.read()
    planted(folder / "a.db", body)
    (folder / "source").mkdir()
    (folder / "source" / "it.pickle").write_bytes(body)
    who = resource.RUSAGE_CHILDREN if way == "command" else resource.RUSAGE_SELF
    before = resource.getrusage(who)
    outcome = "value"
    try:
        if way == "messages":
            by_messages(folder, body)
        else:
            {"store": by_store, "import": by_import, "command": by_command}[way](folder)
    except StoreError as exc:
        outcome = type(exc).__name__
    spent = resource.getrusage(who)
    most = spent.ru_maxrss * 1024 if way == "command" else peak_bytes()
    seconds = spent.ru_utime + spent.ru_stime - before.ru_utime - before.ru_stime
    told = {"outcome": outcome, "seconds": seconds, "megabytes": most / 1_000_000, "slowness": slowness()}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
