"""What the tests of forks share."""

from __future__ import annotations

from collections.abc import Callable

from store import Store

WRITE = """
    import sys
    from store import Store
    with Store(sys.argv[1], timeout=10) as s:
        s["third"] = 3
"""


def write(store: Store, name: str, value: object) -> str:
    store[name] = value
    return "written"


def outcome(call: Callable[[], object]) -> str:
    """What a call returned or raised, as text that passes between processes."""
    try:
        return str(call())
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"
