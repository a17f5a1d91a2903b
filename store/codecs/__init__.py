"""The contract of a codec: a value as bytes, and back, in full or with restraint.

A codec knows nothing of keys, seals and records. `pipeline` decides which way back a record deserves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from store.classes.allowlist import Allowed
from store.classes.lookup import AS_WRITTEN, Lookup
from store.system.registry import Registry

if TYPE_CHECKING:
    from store.codecs import pickle as pickle  # which `import store` puts here


class Codec(Protocol):
    """Encodes values. Stateless, hence safe across threads and processes."""

    name: str
    """What records call it; on disk, never to change."""
    protocols: range
    """The format versions that this program can read and write."""
    default_protocol: int

    def encode(self, value: Any, protocol: int, buffer_callback: Callable[[Any], Any] | None = None) -> bytes:
        """The value in that format version; large buffers go to `buffer_callback`, where one is given.

        It is called with a `pickle.PickleBuffer`, and says whether that is to stay in the bytes all the same; and
        with None where encoding begins anew, so that none of those that were given is referred to.

        Raises:
            NotSerializable: the value, or something in it, cannot be encoded.
        """

    def decode(self, body: bytes, buffers: Iterable[Any] = (), *, lookup: Lookup = AS_WRITTEN) -> Any:
        """The value, whatever it takes: may run code that the bytes name. `lookup` is how names are found.

        Raises:
            Corrupt: the bytes cannot be decoded.
        """

    def decode_restricted(
        self, body: bytes, buffers: Iterable[Any] = (), *, allow: Allowed, lookup: Lookup = AS_WRITTEN
    ) -> Any:
        """The value, made of plain data, standard types and the classes in `allow` and of nothing else.

        In bounded time and memory, whatever the bytes are.

        Raises:
            Untrusted: it takes something else. Corrupt: the bytes cannot be decoded.
        """

    def describe(self, body: bytes) -> tuple[tuple[str, ...], str, str | None]:
        """What decoding in full would do, found without doing it; never raises for what the bytes are.

        The classes and functions that it would name, as `module.name`; the bytes as text; why they could not be
        read to their end (there may be more of the former then), or None.
        """


class SimpleCodec(Protocol):
    """What a program's own codec must have. It may raise anything for what it cannot encode or decode."""

    name: str
    """What records call it; on disk, never to change."""

    def encode(self, value: Any) -> bytes:
        """The value as bytes, the same for the same value."""

    def decode(self, body: bytes) -> Any:
        """The value that those bytes are."""


CodecChoice = str | Codec | SimpleCodec | type[SimpleCodec]
"""What `codec=` takes: the name of one, "auto", or a codec of the program's own."""

codecs = Registry("codec")
"""Codec name → `Codec`."""
codecs.register("pickle", "store.codecs.pickle:codec")
codecs.register("json", "store.codecs.json:codec")
codecs.register("msgpack", "store.codecs.msgpack:codec", install="msgpack")
codecs.register("numpy", "store.codecs.numpy.codec:codec", install="numpy")
codecs.register("cloudpickle", "store.codecs.cloudpickle:codec", install="cloudpickle")
codecs.register("dill", "store.codecs.dill:codec", install="dill")
codecs.register("joblib", "store.codecs.joblib:codec", install="joblib")
codecs.register("protobuf", "store.codecs.protobuf.codec:codec", install="protobuf")
codecs.register("avro", "store.codecs.avro.codec:codec", install="fastavro")
codecs.register("toml", "store.codecs.toml:codec", install="tomli-w")
codecs.register("yaml", "store.codecs.yaml.codec:codec", install="pyyaml")


def register(codec: Codec | SimpleCodec | type[SimpleCodec], name: str | None = None) -> None:
    """Make a codec of the program's own known to every store, under its `name`: records of it can then be read.

    `codec` is an object, or a class of such, with `encode(value)`, which gives bytes, and `decode(bytes)`: see
    `SimpleCodec`. What is encoded by it must stay readable for as long as there are records of it.

    Raises:
        TypeError: it is no codec. ValueError: the name is taken by one of another class.
    """
    from store.codecs.adapted import adapt

    found = adapt(codec, name)
    codecs.register(found.name, found)
