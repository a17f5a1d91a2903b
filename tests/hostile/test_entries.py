"""What a record of somebody else may take, by each way in with the settings that a program has by default."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="usage as Linux tells it"),
]

HERE = Path(__file__).parent
STREAMS = (
    "memory: arguments/class_of_many", "memory: arguments/path_of_a_million_parts_1_times", "memory: shared structure/lists",
    "objects: methods/append_is_a_class", "objects: constructors/AList_of_a_network", "objects: numbers/int_of_a_decimal",
)  # fmt: skip
WAYS = ("store", "messages", "import", "command")
TRIED = [(name, WAYS[(2 * i + j + i // 2) % 4]) for i, name in enumerate(STREAMS) for j in range(2)]  # two ways for each


@pytest.mark.parametrize(("name", "way"), TRIED, ids=str)
def test_stream_takes_no_more_than_any_record_may(name: str, way: str, tmp_path: Path) -> None:
    written = tmp_path / "streams"
    subprocess.run([sys.executable, HERE / "one_stream.py", name, written], check=True, timeout=120)
    folder = tmp_path / "folder"
    folder.mkdir()
    with written.open("rb") as body:
        done = subprocess.run(
            [sys.executable, HERE / "entries.py", way, folder], stdin=body, capture_output=True, timeout=120, check=False
        )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert told["seconds"] < 5 * told["slowness"] and told["megabytes"] < 512, told
