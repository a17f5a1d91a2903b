"""Opening: the engine of a location, and a `Namespace` with its parts on it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from store.engines.contract import Engine
from store.engines.registry import engines, file_formats
from store.opened.arguments import checked_clock, locate, namespace_name
from store.opened.key_warnings import warn_of_keys
from store.opened.namespace import Namespace
from store.opened.options import Options
from store.system.clock import wall_clock
from store.system.rights import Rights
from store.trust.keys.ring import Keyring, KeySource
from store.trust.seal import Sealer
from store.values.large import Large
from store.values.pipeline import Pipeline


def open_namespace(
    location: str | os.PathLike[str],
    name: str,
    options: Options,
    *,
    key: KeySource = None,
    clock: Callable[[], float] = wall_clock,
    rights: Rights | None = None,
) -> Namespace:
    """Opens a namespace of the store at `location`. Raises: as `Store`; no file is made for a wrong argument."""
    name, clock = namespace_name(name, makes_new=options.mode in ("c", "n")), checked_clock(clock)
    options, choices, large_options = options.checked()
    keyring = Keyring(key)
    engine = _open_engine(location, options, rights)
    try:
        large = None if engine.blobs is None else Large(engine.blobs, large_options, options.timeout)
        values = Pipeline(Sealer(keyring, engine.id), choices, large, verify_writes=options.verify_writes)
        if engine.coherence is not None:
            values.changed = keyring.changed = engine.coherence.drop
        if options.mode == "n":
            engine.clear(name)
        warn_of_keys(engine, values)
    except BaseException:
        engine.close()
        raise
    return Namespace(engine, values, name, engine.now if clock is wall_clock else clock, options)


def is_store(path: str) -> bool:
    """Whether the file at `path` is a store; it is not changed."""
    return any(file_formats.load(scheme).is_store(path) for scheme in file_formats.names())


def _open_engine(location: str | os.PathLike[str], options: Options, rights: Rights | None) -> Engine:
    scheme, place = locate(location)
    given: dict[str, Any] = {} if rights is None else {"rights": rights}  # an engine need not know of rights
    engine: Engine = engines.load(scheme)(
        place, mode=options.mode, timeout=options.timeout, durability=options.durability, **given
    )
    return engine
