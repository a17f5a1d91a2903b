"""BLAKE2b (RFC 7693) and a comparison in constant time, without OpenSSL.

`hashlib` and `hmac` have the same two objects, but import OpenSSL, which takes 3 ms at every start.
"""

from __future__ import annotations

try:
    from _blake2 import blake2b  # what hashlib has under this name; CPython's own, since 3.6
    from _operator import _compare_digest as compare_digest
except ImportError:  # another Python
    from hashlib import blake2b
    from hmac import compare_digest  # type: ignore[no-redef]

__all__ = ["blake2b", "compare_digest"]
