"""The proxy of `postgres_proxy` before a Redis server: its messages are commands and answers (RESP 2)."""

from __future__ import annotations

from postgres_proxy import Link, Proxy


def redis_proxy(port: int) -> Proxy:
    return Proxy(port, resp_size)


def resp_size(data: bytes, is_first: bool = False) -> int | None:
    """The size of the first command or answer, None while its end is not there."""
    return _end(data, 0)


def tear(link: Link) -> int:
    """As an action: only the first bytes of the message arrive, then the connection is cut."""
    return 3


def _end(data: bytes, start: int) -> int | None:
    line = data.find(b"\r\n", start)
    if line < 0:
        return None
    kind, end = data[start : start + 1], line + 2
    if kind == b"$":
        size = int(data[start + 1 : line])
        end += size + 2 if size >= 0 else 0
        return end if len(data) >= end else None
    if kind == b"*":
        for _ in range(int(data[start + 1 : line])):
            found = _end(data, end)
            if found is None:
                return None
            end = found
    return end
