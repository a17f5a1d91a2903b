"""Messages as rows that no store holds: what packs and unpacks their values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from store.codecs import Codec
from store.errors import Untrusted
from store.rows.row import Row
from store.trust.keys.ring import Keyring, KeySource, NoKeys
from store.trust.seal import Sealer
from store.values.pipeline import Choices, Pipeline, choose

# On the wire in every seal: never change.
MESSAGE = "\0message"  # the name of each
_STORE_ID = b"store.messages.1"  # in place of a store's
_PURPOSE = b"store.message.v1"  # the keys are others than those of records: no file can make one pass for the other


class MessagePipeline:
    """Packs and unpacks the values of messages between processes."""

    def __init__(self, sealer: Sealer, choices: Choices) -> None:
        self.trust = choices.trust
        self.sealer = sealer
        self._values = Pipeline(sealer, choices, check_unsealed=self._check_unsealed)

    def pack_message(self, value: Any) -> Row:
        """The sealed row of a value. Raises: NotSerializable, and Untrusted where all keys are retired."""
        return self._values.pack("", MESSAGE, value, 0.0, None)

    def unpack_message(self, codec: str, protocol: int, body: bytes, seal: bytes, crc: int) -> Any:
        """The value of what arrived. Raises: as `unpack`."""
        return self._values.unpack(
            Row(None, "", MESSAGE, codec, protocol, None, None, body, None, seal, crc, 1, 0.0, 0.0, None)
        )

    def _check_unsealed(self, row: Row, codec: Codec, buffers: Sequence[memoryview]) -> None:
        """The receiver decides which classes are allowed; but a key that was given must seal."""
        if self.sealer.keyring.keys():
            raise Untrusted(f"it cannot be sealed: {self.sealer.keyring.problem}").about(row.name, row.namespace)


def for_messages(
    key: KeySource, allow: Iterable[type | str] = (), codec: Any = "pickle", protocol: int | None = None
) -> MessagePipeline:
    """The pipeline of one message. With a key only what it sealed is decoded; None is no key, not the user's own.

    Raises:
        TypeError, ValueError: one of the arguments can never be right. CodecUnavailable, StorageError.
    """
    choices = choose(codec, protocol, "data" if key is None else "own", allow)
    keyring = NoKeys() if key is None else Keyring(key)
    return MessagePipeline(Sealer(keyring, _STORE_ID, _PURPOSE), choices)
