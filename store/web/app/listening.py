"""`Listening`: the address that a server listens at, and the names that a `Host` header may have for it."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, replace
from ipaddress import ip_address

HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:@/\s]+)(?::([0-9]{1,5}))?", re.IGNORECASE)
HTTP_PORT = 80
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Listening:
    """An address and a port. `name` is the host that was given, `address` the one that it stands for."""

    name: str
    address: str
    port: int

    @property
    def is_local(self) -> bool:
        """Whether only programs of this machine can connect."""
        return ip_address(self.address).is_loopback

    @property
    def is_everywhere(self) -> bool:
        """Whether it is reached by every address of this machine."""
        return ip_address(self.address).is_unspecified

    @property
    def url(self) -> str:
        """The address for a browser, without a slash at its end."""
        name = "127.0.0.1" if self.is_everywhere else self.name
        return f"http://{f'[{name}]' if ':' in name else name}:{self.port}"

    def is_meant_by(self, host: str) -> bool:
        """Whether a `Host` header names this server.

        A page of another site can have its own name resolve to this machine (DNS rebinding); it sends that name. An
        address stands for no name, so each one is accepted where the server listens at all of them.
        """
        match = HOST.fullmatch(host)
        if match is None or int(match[2] or HTTP_PORT) != self.port:
            return False
        name = match[1].strip("[]").lower()
        return name in self._names() or (self.is_everywhere and _is_address(name))

    def _names(self) -> set[str]:
        names = {self.name.lower(), self.address}
        if self.is_local or self.is_everywhere:
            names.update(LOCAL_NAMES)
        if self.is_everywhere:
            names.add(socket.gethostname().lower())
        return names


def resolved(host: str, port: int) -> Listening:
    """The address that a host stands for, where nothing listens yet. Raises: OSError, UnicodeError: it has none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return Listening(host, str(found[4][0]), port)


def listen(asked: Listening) -> tuple[socket.socket, Listening]:
    """A socket that listens there, and its address; port 0 is a free one. Raises: OSError: it cannot be used."""
    sock = socket.socket(socket.AF_INET6 if ":" in asked.address else socket.AF_INET)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # or the port is busy for a minute after the end
        sock.bind((asked.address, asked.port))
        sock.listen()
    except BaseException:
        sock.close()
        raise
    return sock, replace(asked, port=sock.getsockname()[1])


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
