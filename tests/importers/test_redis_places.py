"""Sources on a Redis server, without one: URLs and their passwords, options, and the forms of values."""

from __future__ import annotations

import gzip
import json
import lzma
import pickle
import re
import subprocess
import sys
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from store import Store
from store.errors import CodecUnavailable
from store.importers import import_into
from store.importers.redis_place import parse, scheme_of
from store.importers.serialized import codec_and_body

LIMIT = 1_000_000
DATA = {"user": "ann " * 20, "n": [1, 2.5, None, {"x": True}]}


# -- URLs


@pytest.mark.parametrize(
    "url, shown, database",
    [
        ("redis://h", "redis://h:6379/0", 0), ("redis://h:7000/3", "redis://h:7000/3", 3), ("redis://h/", "redis://h:6379/0", 0),
        ("redis://", "redis://localhost:6379/0", 0), ("redis://[::1]:7000/1", "redis://[::1]:7000/1", 1),
        ("redis://:secret@h/1", "redis://h:6379/1", 1), ("rediss://me:sec%40ret@h", "rediss://h:6379/0", 0),
        ("valkey://me:se:cret@h?db=4", "valkey://h:6379/4", 4), ("valkeys://h?password=secret&ssl_password=secret", "valkeys://h:6379/0", 0),
        ("redis://secret@h", "redis://h:6379/0", 0), ("unix:///run/redis.sock?db=2&password=secret", "unix:///run/redis.sock?db=2", 2),
        ("unix://me:secret@/run/redis.sock", "unix:///run/redis.sock?db=0", 0),
    ],
)  # fmt: skip
def test_url_is_shown_without_its_password(url: str, shown: str, database: int) -> None:
    place = parse(url)
    assert (place.shown, place.database) == (shown, database)
    assert shown in repr(place) and "sec" not in repr(place)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:sec/ret@h/0", "redis://:sec@ret@h/0", "redis://:sec#ret@h", "redis://:secret@h/abc", "redis://:secret@h:x/0",
        "redis://:secret@h/0/1", "redis://:secret@h?db=one", "redis://:secret@h?prefix=a", "redis://:secret@h?ssl_ca_certs=/x",
        "redis://:secret@h,i/0", "unix://:secret@sock", "redis://:secret@h:99999/0", "redis://:secret@h?socket_timeout=soon",
    ],
)  # fmt: skip
def test_url_that_is_wrong_is_not_cited(url: str) -> None:
    pytest.importorskip("redis", reason="redis-py is not installed: sources on a server were not tested")
    with Store[Any](":memory:") as s, pytest.raises(ValueError) as caught:
        import_into(s, "flask-session", url)
    assert "URL" in str(caught.value) and "sec" not in str(caught.value)


def test_password_comes_from_the_environment_where_the_url_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDISCLI_AUTH", "of the environment")
    assert parse("redis://h").secrets == ("of the environment",)
    assert parse("redis://me:own@h").secrets == ("own",)
    assert parse("redis://h").without_secrets("AUTH of the environment") == "AUTH ***"


@pytest.mark.parametrize("source, scheme", [("redis://h", "redis"), ("REDIS://h", "redis"), ("/x/redis://h", None), ("c:/x", None), ("a.db", None), ("", None)])
def test_source_is_a_url_or_a_path(source: str, scheme: str | None) -> None:
    assert scheme_of(source) == scheme


# -- options


@pytest.mark.parametrize(
    "kind, where, options, words",
    [
        ("shelve", "redis://h", {}, "only django-sessions and flask-session are read from a server, not the kind 'shelve'"),
        ("django-sessions", "postgresql://me:secret@h/d", {}, "a URL of redis, rediss, valkey, valkeys, unix; not postgresql://…"),
        ("django-sessions", "redis://h", {"secret_keys": ["k"]}, "those in a cache are not signed"),
        ("django-sessions", "redis://h", {"session_age": 5.0}, "each has its own expiry"),
        ("django-sessions", "redis://h", {"table": "t"}, "not for a source on a server"),
        ("flask-session", "redis://h", {"key_version": 2}, "keys of Flask-Session have no version"),
        ("django-sessions", "redis://h", {"key_version": True}, "a whole number from 0 up, not True"),
        ("django-sessions", "site.sqlite3", {"key_prefix": "shop"}, "for a source on a server"),
        ("shelve", "redis://h", {"key_version": 2}, "are read from a server"),
    ],
)  # fmt: skip
def test_option_that_is_for_another_source(kind: str, where: str, options: Any, words: str) -> None:
    pytest.importorskip("redis", reason="redis-py is not installed: sources on a server were not tested")
    with Store[Any](":memory:") as s, pytest.raises(ValueError, match=re.escape(words)) as caught:
        import_into(s, kind, where, **options)
    assert "secret" not in str(caught.value).replace("secret_keys", "")


def test_key_prefix_that_is_no_text() -> None:
    with Store[Any](":memory:") as s, pytest.raises(TypeError, match="key_prefix is text, not bytes"):
        import_into(s, "flask-session", "redis://h", key_prefix=b"session:")  # type: ignore[arg-type]


def test_library_that_is_missing_is_named() -> None:
    program = (
        "import sys\nsys.modules['redis'] = None\nfrom store import Store, importers, errors\n"
        "try:\n    importers.import_into(Store(':memory:'), 'flask-session', 'redis://h')\n"
        f"except errors.{CodecUnavailable.__name__} as exc:\n    print(exc)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "the importer 'flask-session' is not available: install it: pip install redis\n"


# -- the forms of values


def with_msgpack(value: Any) -> bytes:
    packed: bytes = pytest.importorskip("msgpack", reason="msgpack is not installed").packb(value)
    return packed


SERIALIZERS: dict[str, Callable[[Any], bytes]] = {
    **{f"pickle {protocol}": lambda value, protocol=protocol: pickle.dumps(value, protocol) for protocol in range(6)},  # type: ignore[misc]
    "json": lambda value: json.dumps(value).encode(),
    "msgpack": with_msgpack,
}
COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda data: data,
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "lz4": lambda data: pytest.importorskip("lz4.frame", reason="lz4 is not installed").compress(data),
    "zstd": lambda data: pytest.importorskip("pyzstd", reason="pyzstd is not installed").compress(data),
}


@pytest.mark.parametrize("compress", COMPRESSORS)
@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("value", [{}, DATA, {str(n): n for n in range(40)}], ids=len)
def test_codec_is_found_by_how_a_dict_begins(value: Any, serializer: str, compress: str) -> None:
    body = SERIALIZERS[serializer](value)
    assert codec_and_body(COMPRESSORS[compress](body), 10 * LIMIT) == (serializer.split()[0], body)


def test_dict_of_many_keys_in_msgpack() -> None:
    body = with_msgpack({str(n): n for n in range(70_000)})
    assert codec_and_body(body, LIMIT) == ("msgpack", body)


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "it is empty"), (b"-12", "it is a number"), (b"\xff\xff", "is another serializer set?"), (b"text", "is another serializer set?"),
        (zlib.compress(b"x" * LIMIT * 2), "cannot be decompressed: it would take more than 1000000 bytes"),
        (zlib.compress(b"x" * 1000)[:-5], "its end is missing"), (b"\x78\x9cgarbage", "cannot be decompressed"),
        (b"\x80", None), (b"\x93\1\2\3", "is another serializer set?"), (zlib.compress(b""), "is another serializer set?"),
    ],
)  # fmt: skip
def test_bytes_that_are_no_dict(data: bytes, words: str | None) -> None:
    if words is None:
        pytest.importorskip("msgpack", reason="msgpack is not installed")
        assert codec_and_body(data, LIMIT) == ("msgpack", data)
        return
    with pytest.raises(ValueError, match=words.replace("?", r"\?")):
        codec_and_body(data, LIMIT)


@pytest.mark.parametrize("form", ["lz4", "zstd"])
def test_compressed_data_of_a_library(form: str) -> None:
    data = COMPRESSORS[form](bytes(LIMIT * 5))
    with pytest.raises(ValueError, match="more than 1000000 bytes"):
        codec_and_body(data, LIMIT)
    for spoiled in (data[: len(data) // 2], data[:4], data[:4] + b"\xff" * 40):
        with pytest.raises(ValueError, match="cannot be decompressed"):
            codec_and_body(spoiled, 10 * LIMIT)


@pytest.mark.parametrize("data, form, library", [(b"\x04\x22\x4d\x18....", "LZ4", "lz4"), (b"\x28\xb5\x2f\xfd....", "Zstandard", "pyzstd")])
def test_library_that_decompresses_is_named(data: bytes, form: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("lz4.frame", "pyzstd", "compression.zstd"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=f"compressed by {form}: pip install {library}, and import it again"):
        codec_and_body(data, LIMIT)


def test_msgpack_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.importers.serialized.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install msgpack"):
        codec_and_body(b"\x81\xa1a\x01", LIMIT)
