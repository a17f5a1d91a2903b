"""Value ⇄ sealed row: the only module that combines codecs and trust."""

from __future__ import annotations

from collections.abc import Callable

from store.trust.seal import Sealer
from store.values.choices import Choices, KnownCodecs, choose
from store.values.large import Large
from store.values.packing import CheckUnsealed, Packer
from store.values.unpacking import Decode, Unpacker

__all__ = ["Choices", "Decode", "Pipeline", "choose"]


class Pipeline:
    """Packs and unpacks the values of one store. Its methods are those of `Packer` and `Unpacker`.

    `check_unsealed` decides about rows that no key can seal; by default they are refused if this store could not read
    them back.
    """

    def __init__(
        self,
        sealer: Sealer,
        choices: Choices,
        large: Large | None = None,
        *,
        verify_writes: bool = False,
        check_unsealed: CheckUnsealed | None = None,
    ) -> None:
        self.sealer = sealer
        self.large = large  # None: values are stored entirely in their rows
        self.trust, self.lookup = choices.trust, choices.lookup
        self.codecs = KnownCodecs(choices.codec, choices.protocol)
        unpacker = Unpacker(sealer, choices, self.codecs, large)
        packer = Packer(
            sealer, choices, self.codecs, large, verify_writes=verify_writes, check_unsealed=check_unsealed
        )
        # Bound here, because an intermediate call would cost 0.1 us per record.
        self.pack, self.pack_again = packer.pack, packer.pack_again
        self.fingerprint, self.reseal, self.discard = packer.fingerprint, packer.reseal, packer.discard
        self.unpack, self.unpacked, self.body_of = unpacker.unpack, unpacker.unpacked, unpacker.body_of
        self.are_own, self.unpacked_own = sealer.are_own, unpacker.unpacked_own
        self.value_of_own, self.decoder_of_own = unpacker.value_of_own, unpacker.decoder_of_own
        self.codec_of, self.choice, self.use = self.codecs.of, self.codecs.choice, self.codecs.use

    @property
    def changed(self) -> Callable[[], None]:
        """Called when a record may be decoded by another codec than before."""
        return self.codecs.changed

    @changed.setter
    def changed(self, function: Callable[[], None]) -> None:
        self.codecs.changed = function
