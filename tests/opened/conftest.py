"""What several suites of opened stores share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from store import Store


@pytest.fixture
def seen(path: Path, clock: Any) -> Iterator[Store[Any]]:
    """What is in the file, beside a store that holds values back."""
    with Store[Any](path, clock=clock) as opened:
        yield opened
