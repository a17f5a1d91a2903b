"""Commands are packed as the driver packs them, byte for byte."""

from __future__ import annotations

import pytest

pytest.importorskip("redis", reason="redis-py is not installed: the engine on Redis was not tested")

from redis.connection import Connection

from store.engines.redis.resp import LARGE_BYTES, chunks, packed, parts
from store.engines.redis.scripts.reading import GET

COMMANDS = [
    (b"PING",),
    ("SET", "n\u00e4me", b"\0\r\n", 17, -2, 0.1, 1e300),
    (b"SET", b"", b"x" * (LARGE_BYTES - 1), b"y" * LARGE_BYTES, b"z" * (3 * LARGE_BYTES), b"end"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_what_the_driver_sends(command):
    expected = b"".join(Connection().pack_command(*command))
    assert b"".join(packed(command)) == expected
    assert b"".join(chunks(len(command), parts(command[:1]), command[1:])) == expected


def test_large_part_is_not_copied():
    large = b"x" * LARGE_BYTES
    assert any(chunk is large for chunk in packed((b"SET", b"name", large)))


def test_script_is_run_by_its_digest_with_these_keys():
    for keys in [(b"a", b"b"), (b"c", b"d"), (b"a", b"b")]:
        expected = Connection().pack_command(b"EVALSHA", GET.digest, 2, *keys, b"id", 0, "name")
        assert b"".join(GET.command(keys, (b"id", 0, "name"))) == b"".join(expected)
