"""Programs that start at once without a key, again and again, agree on one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from store.trust.keys.file import read_key_file
from store.trust.keys.ring import Keyring

ROUNDS, PROCESSES = 12, 16


@pytest.mark.heavy
def test_processes_that_start_without_a_key_agree_on_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forked: Callable[[Callable[[], str]], Any]
) -> None:
    for turn in range(ROUNDS):
        data = tmp_path / str(turn)
        monkeypatch.setenv("XDG_DATA_HOME", str(data))
        gate, opened = os.pipe()

        def take_part(gate: int = gate, opened: int = opened) -> str:
            os.close(opened)
            ring = Keyring()
            os.read(gate, 1)  # ends when the parent closes its end: all go on at once
            key = ring.sealing_key()
            assert key is not None
            return key.id.hex()

        children = [forked(take_part) for _ in range(PROCESSES)]
        os.close(gate)
        os.close(opened)
        ids = [child.result() for child in children]
        (key,) = read_key_file(data / "sealed-store" / "keys")
        assert ids == [key.id.hex()] * PROCESSES
        assert os.listdir(data / "sealed-store") == ["keys"]
