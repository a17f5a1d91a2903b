"""`Key`: one secret and the secrets derived from it."""

from __future__ import annotations

from typing import NoReturn

from store.system.digests import blake2b

KEY_BYTES = 32
ID_BYTES = 8
UNKEYED = bytes(ID_BYTES)  # key id of a seal without a key, which is a checksum


class Key:
    """One secret. Its `id` is public and is stored with each seal; nothing else of it is ever shown.

    A `retired` key verifies but does not seal. `weakness` is the reason why it can be guessed: a weak key seals only
    if it was `stretched`.
    """

    __slots__ = ("_secret", "id", "retired", "stretched", "weakness")

    def __init__(
        self, material: bytes, *, retired: bool = False, weakness: str = "", stretched: bool = False
    ) -> None:
        if not material:
            raise ValueError("a key may not be empty")
        # The material may have any length; blake2b takes keys of up to 64 bytes (RFC 7693).
        self._secret = blake2b(material, digest_size=KEY_BYTES, person=b"store.key.v1").digest()
        self.id = self.derive(b"store.key-id.v1")[:ID_BYTES]
        self.retired = retired
        self.weakness = weakness
        self.stretched = stretched

    def derive(self, purpose: bytes) -> bytes:
        """A secret of 32 bytes for one purpose, which does not reveal this key."""
        return blake2b(key=self._secret, digest_size=KEY_BYTES, person=purpose).digest()

    def __repr__(self) -> str:
        return f"<Key {self.id.hex()}{' retired' if self.retired else ''}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys are never pickled")
