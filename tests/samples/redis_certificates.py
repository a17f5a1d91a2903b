"""Certificates of the tests' own authority, by the program openssl: for a server on loopback, and for its clients."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from redis_programs import on_path

SECONDS = 30.0
KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes".split()


class Certificates:
    """An authority, a certificate of 127.0.0.1, and one of a client, as files of a folder.

    With `asks_clients` a server refuses clients without a certificate.
    """

    def __init__(self, folder: Path, program: Path, asks_clients: bool = False) -> None:
        self.folder, self.asks_clients = folder, asks_clients
        self._program = program
        self._issue("authority", "-addext", "basicConstraints=critical,CA:TRUE")
        by = ["-CA", str(self.authority), "-CAkey", str(self.folder / "authority.key")]
        names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
        self._issue("server", *by, *names)
        self._issue("client", *by)

    @property
    def authority(self) -> Path:
        return self.folder / "authority.crt"

    @property
    def client(self) -> Path:
        """The client's certificate; its key is beside it, with the suffix .key."""
        return self.folder / "client.crt"

    @property
    def lines_of_server(self) -> list[str]:
        files = {"tls-cert-file": "server.crt", "tls-key-file": "server.key", "tls-ca-cert-file": "authority.crt"}
        return [
            *(f"{name} {self.folder / file}" for name, file in files.items()),
            f"tls-auth-clients {'yes' if self.asks_clients else 'no'}",
        ]

    @property
    def of_client(self) -> dict[str, Any]:
        """Options of redis-py."""
        certificate = {"ssl_certfile": str(self.client), "ssl_keyfile": str(self.client.with_suffix(".key"))}
        return {"ssl_ca_certs": str(self.authority), **(certificate if self.asks_clients else {})}

    def _issue(self, name: str, *options: str) -> None:
        subprocess.run(
            [
                str(self._program), "req", "-x509", *KEY, "-subj", f"/CN=store tests {name}", "-days", "2",
                "-keyout", str(self.folder / f"{name}.key"), "-out", str(self.folder / f"{name}.crt"), *options,
            ],
            check=True, capture_output=True, timeout=SECONDS,
        )  # fmt: skip


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    """For `own_redis(certificates=…)`. Skips loudly where there is no openssl."""
    program = on_path("openssl")
    if program is None:
        pytest.skip("TLS CANNOT BE HAD HERE: openssl is not installed")
    folder = tmp_path / "certificates"
    folder.mkdir()
    return Certificates(folder, program)
