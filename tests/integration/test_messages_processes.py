"""Messages between real processes, over sockets, pipes and TLS; dropped connections and large values."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import socket
import ssl
import subprocess
import sys
import termios
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from textwrap import dedent
from typing import Any

import pytest

from store.errors import Tampered, Untrusted
from store.messages import stream as messages

KEY = b"the key of these tests"
WAIT_SECONDS = 60

Start = Callable[..., "subprocess.Popen[str]"]

PRELUDE = """
import os, socket, sys
from store import messages
KEY = b"the key of these tests"
conn = socket.socket(fileno=int(sys.argv[1]))
"""


@pytest.fixture
def start() -> Iterator[Start]:
    """Runs a program beside the test, with the other end of a connection; what is left at the end is killed."""
    with ExitStack() as ends:

        def start(program: str, *descriptors: int) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-W", "error", "-c", dedent(program), *map(str, descriptors)],
                pass_fds=descriptors, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            ends.callback(end, process)
            return process

        yield start


def end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
    process.communicate(timeout=WAIT_SECONDS)


def output(process: subprocess.Popen[str]) -> str:
    """What it printed, once it has ended well."""
    out, err = process.communicate(timeout=WAIT_SECONDS)
    assert (process.returncode, err) == (0, "")
    return out


def connected(start: Start, program: str) -> tuple[socket.socket, subprocess.Popen[str]]:
    """Our end of a socket pair, and the program that has the other."""
    ours, theirs = socket.socketpair()
    ours.settimeout(WAIT_SECONDS)
    with theirs:
        process = start(PRELUDE + dedent(program), theirs.fileno())
    return ours, process


@pytest.mark.slow
def test_many_messages_of_all_sizes_are_answered(start: Start) -> None:
    conn, process = connected(
        start,
        """
        while True:
            try:
                value = messages.receive(conn, key=KEY)
            except EOFError:
                break
            messages.send(conn, value, key=KEY)
        conn.close()
        print("done")
        """,
    )
    with conn:
        for value in (None, [1, {"a": "ü"}], "x" * 100_000, *range(50), os.urandom(3_000_000)):
            messages.send(conn, value, key=KEY)
            assert messages.receive(conn, key=KEY) == value
        with pytest.raises(Untrusted):  # it decodes nothing that the key did not seal
            messages.send(conn, [1], key=KEY)
            messages.receive(conn, key=b"another key, longer")
        conn.shutdown(socket.SHUT_WR)
        with pytest.raises(EOFError, match=r"^the connection was closed$"):
            messages.receive(conn, key=KEY)
    assert output(process) == "done\n"


@pytest.mark.heavy
def test_message_of_100_megabytes_takes_its_size_once_beside_the_value(start: Start) -> None:
    conn, process = connected(
        start,
        """
        import tracemalloc, zlib
        tracemalloc.start()
        value = messages.receive(conn, key=KEY)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        messages.send(conn, (len(value), zlib.crc32(value), peak), key=KEY)
        conn.close()
        """,
    )
    size = 100_000_000
    block = os.urandom(1_000_000)
    value = block * (size // len(block))
    with conn:
        messages.send(conn, value, key=KEY)
        found, checksum, peak = messages.receive(conn, key=KEY)
    assert (found, checksum) == (size, zlib.crc32(value))
    assert peak < 2.3 * size  # the value, and the message with an eighth of room to grow
    assert output(process) == ""


@pytest.mark.slow
def test_sender_that_is_killed_in_the_middle_is_an_eof_error(start: Start) -> None:
    conn, process = connected(
        start,
        """
        print("sends", flush=True)
        messages.send(conn, b"x" * 50_000_000)
        """,
    )
    with conn:
        assert process.stdout is not None
        assert process.stdout.readline() == "sends\n"
        assert conn.recv(1, socket.MSG_PEEK)  # it has begun, and cannot end before all is read
        process.kill()
        process.wait(WAIT_SECONDS)
        with pytest.raises(EOFError, match=r"in the middle of a message: \d+ of its 50\d{6} bytes came$"):
            messages.receive(conn)


def test_receiver_that_has_gone_is_a_broken_pipe(start: Start) -> None:
    conn, process = connected(start, "conn.close()")
    assert output(process) == ""
    with conn, pytest.raises(BrokenPipeError):
        messages.send(conn, [1])


@pytest.mark.slow
def test_receiver_that_goes_in_the_middle_is_a_connection_error(start: Start) -> None:
    conn, process = connected(start, "conn.recv(10)\nconn.close()")
    with conn, pytest.raises(ConnectionError):
        messages.send(conn, b"x" * 50_000_000)
    assert output(process) == ""


def test_pipes_to_standard_input_and_output(start: Start) -> None:
    program = """
        import sys
        from store import messages
        messages.send(sys.stdout.buffer, messages.receive(sys.stdin.buffer) * 2)
        messages.send(1, messages.receive(0) * 3)
        """
    process = start(program)
    assert process.stdin is not None and process.stdout is not None
    for factor, value in ((2, "ab" * 200_000), (3, [1])):
        messages.send(process.stdin.buffer, value)
        assert messages.receive(process.stdout.buffer) == value * factor
    assert output(process) == ""


def test_multiprocessing_connection_between_processes(start: Start) -> None:
    ours, theirs = multiprocessing.Pipe()
    with ours:
        with theirs:
            process = start(
                """
                import sys
                from multiprocessing.connection import Connection
                from store import messages
                with Connection(int(sys.argv[1])) as conn:
                    messages.send(conn, messages.receive(conn) * 2)
                    conn.send("by its own means")
                """,
                theirs.fileno(),
            )
        messages.send(ours, "x" * 1_000_000)
        assert messages.receive(ours) == "x" * 2_000_000
        assert ours.poll(WAIT_SECONDS)
        assert ours.recv() == "by its own means"
        with pytest.raises(EOFError, match=r"^the connection was closed$"):
            messages.receive(ours)
    assert output(process) == ""


def test_signal_that_is_handled_does_not_break_a_message(start: Start) -> None:
    """A read or write that a signal cuts short is continued."""
    conn, process = connected(
        start,
        """
        import signal
        hits = []
        signal.signal(signal.SIGUSR1, lambda *_: hits.append(1))
        print("ready", flush=True)
        value = messages.receive(conn)
        messages.send(conn, value)
        conn.close()
        print(bool(hits))
        """,
    )
    value = os.urandom(4_000_000)
    with conn:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        sent = threading.Thread(target=messages.send, args=(conn, value))
        process.send_signal(signal.SIGUSR1)
        sent.start()
        for _ in range(20):
            process.send_signal(signal.SIGUSR1)
        sent.join(WAIT_SECONDS)
        assert messages.receive(conn) == value
    assert output(process) == "True\n"


def test_interrupt_in_the_middle_leaves_the_process_as_it_was(start: Start) -> None:
    conn, process = connected(
        start,
        """
        import signal
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background may have it ignored
        print("ready", flush=True)
        try:
            messages.receive(conn)
        except KeyboardInterrupt:
            conn.close()
        other, another = socket.socketpair()
        messages.send(other, "still works")
        print(messages.receive(another))
        other.close(), another.close()
        """,
    )
    with conn:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        conn.sendall(b"\x9bmsg\x01")
        while unread(conn):
            os.sched_yield()
        process.send_signal(signal.SIGINT)
        assert output(process) == "still works\n"


def unread(conn: socket.socket) -> int:
    """How many bytes the other end of a pair has not read yet (SIOCOUTQ, as tcp(7) and unix(7) say)."""
    return int.from_bytes(fcntl.ioctl(conn, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def test_tls_carries_messages_of_any_size() -> None:
    """Ciphers without a certificate, so that the test needs none."""
    contexts = []
    for side in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT):
        context = ssl.SSLContext(side)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("aNULL:@SECLEVEL=0")
        contexts.append(context)
    ours, theirs = socket.socketpair()
    value = os.urandom(1_000_000)
    problems: list[BaseException] = []

    def answer() -> None:
        try:
            with contexts[0].wrap_socket(theirs, server_side=True) as conn:
                conn.settimeout(WAIT_SECONDS)
                messages.send(conn, messages.receive(conn, key=KEY), key=KEY)
                messages.receive(conn)
        except BaseException as exc:
            problems.append(exc)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        with contexts[1].wrap_socket(ours) as conn:
            conn.settimeout(WAIT_SECONDS)
            messages.send(conn, value, key=KEY)
            assert messages.receive(conn, key=KEY) == value
    finally:
        thread.join(WAIT_SECONDS)
    assert [type(problem) for problem in problems] == [EOFError]


def test_threads_that_lock_share_one_connection() -> None:
    ours, theirs = socket.socketpair()
    lock = threading.Lock()

    def work(number: int) -> None:
        for _ in range(20):
            with lock:
                messages.send(ours, [number] * 10_000, key=KEY)

    with ours, theirs:
        theirs.settimeout(WAIT_SECONDS)
        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        found: list[Any] = [messages.receive(theirs, key=KEY) for _ in range(60)]
        for thread in threads:
            thread.join(WAIT_SECONDS)
    assert sorted(value[0] for value in found) == sorted([0, 1, 2] * 20)
    assert all(value == value[:1] * 10_000 for value in found)


def test_message_that_is_altered_on_its_way_is_tampered() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        messages.send(ours, ["a", "b"], key=KEY)
        data = theirs.recv(1000)
        ours.sendall(data.replace(b"a", b"c", 1) + data)
        with pytest.raises(Tampered):
            messages.receive(theirs, key=KEY)
        assert messages.receive(theirs, key=KEY) == ["a", "b"]
