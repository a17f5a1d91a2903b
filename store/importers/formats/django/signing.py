"""The text that `django.core.signing.dumps` makes: payload, time and signature, in base64 and with colons between.

Format and computation of the signature: https://docs.djangoproject.com/en/stable/topics/signing/ and
django/core/signing.py (Django 3.1 and newer: HMAC-SHA256 under a key derived from salt and `SECRET_KEY`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable

from store.importers.compressed import inflated

MAX_PAYLOAD_BYTES = 256 * 1024 * 1024
"""How large a compressed payload may become."""
_SIGNED = re.compile(
    r"(?P<signed>(?P<dot>\.?)(?P<payload>[A-Za-z0-9_-]*):-?[A-Za-z0-9]+):(?P<signature>[A-Za-z0-9_-]+)"
)


def payload_of(text: str, salt: str, keys: Iterable[bytes]) -> bytes:
    """The bytes that were signed. Without keys the signature is not checked, and anybody may have written them.

    Raises:
        ValueError: the text has another form, or its signature is of none of the keys.
    """
    found = _SIGNED.fullmatch(text)
    if found is None:
        raise ValueError("it is not in the form in which Django 3.1 and newer sign sessions")
    signatures = [_signature(found["signed"], salt, key) for key in keys]
    if signatures and not any(hmac.compare_digest(found["signature"], one) for one in signatures):
        raise ValueError("its signature does not match: it was altered, or signed with another SECRET_KEY or salt")
    data = base64.urlsafe_b64decode(found["payload"] + "=" * (-len(found["payload"]) % 4))
    return inflated(data, MAX_PAYLOAD_BYTES) if found["dot"] else data


def _signature(signed: str, salt: str, key: bytes) -> str:
    derived = hashlib.sha256(salt.encode() + b"signer" + key).digest()
    return base64.urlsafe_b64encode(hmac.digest(derived, signed.encode(), "sha256")).rstrip(b"=").decode()
