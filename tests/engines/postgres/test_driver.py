"""The driver is there, or that is said loudly; the other tests of this folder are left out without it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def test_driver_is_installed() -> None:
    for module in ("psycopg", "psycopg_pool"):
        pytest.importorskip(module, reason=f"ENGINE postgres CANNOT BE HAD HERE: {module} is not installed")


@pytest.mark.slow
def test_without_the_driver_the_error_says_what_to_install(tmp_path: Path) -> None:
    program = f"""
import sys
sys.modules["psycopg"] = sys.modules["psycopg_pool"] = None
from store import Store
from store.errors import CodecUnavailable
try:
    Store("postgresql://me:secret@h/db")
except CodecUnavailable as exc:
    print(exc)
Store({str(tmp_path / "app.db")!r}).close()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    expected = "the engine 'postgresql' is not available: install it: pip install 'psycopg[binary]' psycopg-pool\n"
    assert done.stdout == expected
