"""The options of `Store`: their types, and `Options`, checked before anything is made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias, TypedDict, get_args

from store.classes.lookup import Renames
from store.codecs import CodecChoice
from store.errors import StoreError
from store.opened.arguments import check_bytes, check_flag, check_timeout, check_ttl
from store.system.rights import Rights
from store.trust.keys.ring import KeySource
from store.values.large import DEFAULT_SPILL_BYTES, LargeOptions, check_large
from store.values.pipeline import Choices, choose

Mode: TypeAlias = Literal["r", "w", "c", "n"]
Trust: TypeAlias = Literal["own", "data", "all"]
OnMissing: TypeAlias = Literal["raise", "placeholder"]
Durability: TypeAlias = Literal["normal", "full"]
OnUnreadable: TypeAlias = Literal["raise", "skip"] | Callable[[str, StoreError], Any]

MODES: tuple[str, ...] = get_args(Mode)
DEFAULT_TIMEOUT_SECONDS = 60.0
CACHE_BYTES = 32 * 1024 * 1024


class OpeningOptions(TypedDict, total=False):
    """Options of `Store` that any layer above can pass on; see there."""

    protocol: int | None
    mode: Mode
    trust: Trust
    allow: Iterable[type | str]
    renames: Renames | None
    on_missing: OnMissing
    key: KeySource
    on_unreadable: OnUnreadable
    durability: Durability
    timeout: float
    cache_bytes: int
    spill_bytes: int
    mmap: bool
    verify_buffers: bool
    verify_writes: bool
    clock: Callable[[], float]
    rights: Rights | None


class StoreOptions(OpeningOptions, total=False):
    """All options of `Store`, for `**options: Unpack[StoreOptions]` of a layer above."""

    namespace: str
    codec: CodecChoice
    ttl: float | None
    writeback: bool


def check_options(owner: str, options: Mapping[str, Any], known: Iterable[str]) -> None:
    """For `**options` that a layer hands on. Raises: TypeError: `owner` has none of that name; says which is near."""
    names = [*known, *OpeningOptions.__annotations__]
    for name in options:
        if name not in names:
            from difflib import get_close_matches  # loaded for the error alone

            near = get_close_matches(name.lower(), names, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"its options are {', '.join(dict.fromkeys(names))}"
            raise TypeError(f"{owner} has no option {name!r}; {hint}")


class Options(NamedTuple):
    """The options of `Store`, less location, namespace, key, clock and rights: what `within` and a pickle hand on."""

    codec: CodecChoice = "pickle"
    protocol: int | None = None
    ttl: float | None = None
    mode: Mode = "c"
    writeback: bool = False
    trust: Trust = "data"
    allow: Iterable[type | str] = ()
    renames: Renames | None = None
    on_missing: OnMissing = "raise"
    on_unreadable: OnUnreadable = "raise"
    durability: Durability = "normal"
    timeout: float = DEFAULT_TIMEOUT_SECONDS
    cache_bytes: int = CACHE_BYTES
    spill_bytes: int = DEFAULT_SPILL_BYTES
    mmap: bool = True
    verify_buffers: bool = False
    verify_writes: bool = False

    def checked(self) -> tuple[Options, Choices, LargeOptions]:
        """The options, normalised, and what the pipeline needs of them. Raises: TypeError, ValueError."""
        if self.mode not in MODES:
            raise ValueError(f"unknown mode {self.mode!r}: one of {', '.join(MODES)}, as dbm has them")
        check_ttl(self.ttl)
        timeout = check_timeout(self.timeout)
        check_bytes(self.cache_bytes, "cache_bytes")
        check_on_unreadable(self.on_unreadable)
        check_flag(self.verify_writes, "verify_writes")
        large = check_large(self.spill_bytes, self.mmap, self.verify_buffers)
        choices = choose(self.codec, self.protocol, self.trust, self.allow, self.renames, self.on_missing)
        return self._replace(timeout=timeout, allow=choices.allow), choices, large


def check_on_unreadable(choice: object) -> None:
    """Raises: TypeError, ValueError."""
    if isinstance(choice, str):
        if choice not in ("raise", "skip"):
            raise ValueError(f'unknown on_unreadable {choice!r}: "raise", "skip", or a function of name and error')
    elif not callable(choice):
        raise TypeError(f'on_unreadable is "raise", "skip", or a function of name and error, not {choice!r:.80}')
