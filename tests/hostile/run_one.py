"""Runs streams of the corpus, each in a process of its own that is forked from this one.

Reads one request a line, `{"name", "entry", "trust", "thread"}` as JSON, and answers each with a line:
`{"outcome", "message", "marker", "intact", "memory_error", "megabytes", "seconds", "limit"}`; `limit` is that of seconds.

The outcome is "value" or "wrong value", the name of an error, or what ended the process: "signal 11", "too long".
A fork costs a few milliseconds where a fresh interpreter costs 100.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import select
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

import arrays
import corpus
import pace
import victims
from assembler import Stream

from store.classes.allowlist import allowed
from store.codecs import pickle as store_pickle

MEGABYTES = 512
CPU_SECONDS = 5 * pace.slowness()
WALL_SECONDS = 100  # of a stream that waits for something; a busy machine takes many times as long as the processor time
STACK_BYTES = 256 * 1024
STREAMS = corpus.everything()


def serve(folder: str) -> None:
    """Answers requests until there are no more."""
    _warm_up()
    gc.collect()
    gc.freeze()  # else each child would walk, and so copy, all that is here
    for index, line in enumerate(sys.stdin):
        request = json.loads(line)
        marker = os.path.join(folder, str(index))
        answer = _in_a_child(request, marker)
        answer["marker"] = os.path.exists(marker)
        print(json.dumps(answer), flush=True)


def _warm_up() -> None:
    """Imports what a decoder needs, the refusal of a global included: else each child would do it again."""
    body = b"cnobody\nnothing\n."
    for entry in ("loads", "codec"):
        with contextlib.suppress(UnpicklingError):
            _decoder(body, entry, "data")()
    for each in arrays.controls():
        _decoder(each.bytes(), "loads", "data")()


def _in_a_child(request: dict[str, Any], marker: str) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.environ["HOSTILE_MARKER"] = marker
        try:
            os.write(writing, json.dumps(_run(request)).encode())
        except BaseException:  # a fault of this program; the parent shows it
            os.write(writing, json.dumps({"outcome": "broken", "message": traceback.format_exc()[-2000:]}).encode())
        os._exit(0)
    os.close(writing)
    try:
        return _answer_of(child, reading)
    finally:
        os.close(reading)


def _answer_of(child: int, reading: int) -> dict[str, Any]:
    said = b""
    deadline = time.monotonic() + WALL_SECONDS
    while select.select([reading], [], [], max(0.0, deadline - time.monotonic()))[0]:
        piece = os.read(reading, 65_536)
        if not piece:
            break
        said += piece
    else:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        ended = os.WTERMSIG(status)
        return {"outcome": "too long" if ended in (signal.SIGXCPU, signal.SIGKILL) else f"signal {ended}"}
    answer: dict[str, Any] = json.loads(said)
    return answer


def _run(request: dict[str, Any]) -> dict[str, Any]:
    each = STREAMS[request["name"]]
    body = each.bytes()
    if each.prepare is not None:
        each.prepare()
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 1)  # what a payload prints
        os.dup2(nothing.fileno(), 2)
    _limit()
    before = _resident()
    decode = _decoder(body, request["entry"], request["trust"])
    began = time.process_time()
    told = _in_a_thread(each, decode) if request["thread"] else _outcome(each, decode)
    return {
        **told, "intact": victims.intact(), "seconds": time.process_time() - began, "limit": CPU_SECONDS,
        "megabytes": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before) / 1_000_000,
    }  # fmt: skip


def _limit() -> None:
    with open("/proc/self/statm") as file:
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEGABYTES * 1024 * 1024,) * 2)
    spent = resource.getrusage(resource.RUSAGE_SELF)
    used = int(spent.ru_utime + spent.ru_stime) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (used + int(CPU_SECONDS), used + int(CPU_SECONDS) + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def _decoder(body: bytes, entry: str, trust: str) -> Callable[[], Any]:
    if entry == "codec":
        return lambda: store_pickle.codec.decode_restricted(body, allow=allowed(victims.ALLOWED))
    if trust == "all":
        return lambda: store_pickle.loads(body, trust="all")
    return lambda: store_pickle.loads(body, allow=victims.ALLOWED)


def _in_a_thread(each: Stream, decode: Callable[[], Any]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    threading.stack_size(STACK_BYTES)
    thread = threading.Thread(target=lambda: told.update(_outcome(each, decode)))
    thread.start()
    thread.join()
    return told


def _outcome(each: Stream, decode: Callable[[], Any]) -> dict[str, Any]:
    """What came of it; the value is taken apart again here, as its destructors may be what does the harm."""
    told: dict[str, Any] = {"outcome": "value", "message": "", "memory_error": False}
    try:
        value = decode()
        if each.check is not None and not each.check(value):
            told["outcome"] = "wrong value"
        del value
    except BaseException as exc:
        told.update(outcome=type(exc).__name__, message=str(exc)[:1000], memory_error=_ran_out(exc))
        told["name"] = getattr(exc, "missing", None)
        exc.__traceback__ = None
        del exc
    gc.collect()
    return told


def _ran_out(exc: BaseException | None) -> bool:
    """Whether it was the limit of this process that stopped it, and not the decoder's own."""
    while exc is not None:
        if isinstance(exc, MemoryError):
            return True
        exc = exc.__cause__ or exc.__context__
    return False


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="hostile-") as markers:
        serve(markers)
