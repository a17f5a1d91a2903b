"""Warnings at opening about records of keys that this program does not hold, with a remedy for the trust level."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from store.system import caller
from store.trust.keys.key import UNKEYED

if TYPE_CHECKING:
    from store.engines.contract import Engine
    from store.trust.keys.ring import Keyring
    from store.values.pipeline import Pipeline

_SHOWN = 3  # ids of keys


def warn_of_keys(engine: Engine, pipeline: Pipeline) -> None:
    """Warns of records sealed with unknown keys, and of a store whose own records could not be read."""
    if pipeline.trust == "all":
        return
    ring = pipeline.sealer.keyring
    unknown = [key_id for key_id in engine.sealers() if key_id != UNKEYED and not ring.find(key_id)]
    if unknown:
        caller.warn(_foreign(engine.location, unknown, ring, pipeline.trust))
    elif pipeline.trust == "own":
        problem = ring.foreseen_problem()
        if problem:
            caller.warn(
                f'{engine.location} is opened with trust="own", which reads only what a key of yours sealed, and '
                f"there is none: {problem}. Name a key file in STORE_KEY_FILE (`store key new` makes it), or "
                "pass key="
            )


def _foreign(location: str, unknown: list[bytes], ring: Keyring, trust: str) -> str:
    ids = ", ".join(key_id.hex() for key_id in unknown[:_SHOWN])
    problem = ring.foreseen_problem()
    effect = (
        'this store reads nothing else (trust="own"), so they are refused, and sessions among them are absent'
        if trust == "own"
        else "they read as plain data and arrays, and classes only if declared with @store.allow"
    )
    sealing = ", with a key of your own in STORE_KEY_FILE (`store key new` makes it)" if problem else ""
    return (
        f"{location} has records that were sealed with a key this program does not hold ({ids}; keys from "
        f"{ring.where()}{'; ' if problem else ''}{problem}): {effect}. If they are yours, bring that key: name its "
        "file in STORE_KEY_FILE; if it is lost, look at them and take them over: "
        f"`store admit {quote(location)} --all`{sealing}"
    )
