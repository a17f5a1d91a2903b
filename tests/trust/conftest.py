"""What the tests of trust use: a file that is changed behind the store's back, and keys."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import changed
import pytest

Change = Callable[..., None]


@pytest.fixture
def change(place: str) -> Change:
    """Runs statements on the tables as any program that can write them may: `change(sql, *values)`."""

    def change(statement: str, *values: Any, file: str | Path = place) -> None:
        changed.change(str(file), statement, *values)

    return change


@pytest.fixture
def key_file() -> Callable[..., Path]:
    """Makes a key file with those lines: `key_file(path, line, …)`."""

    def write(file: Path, *lines: str) -> Path:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{line}\n" for line in lines))
        file.chmod(0o600)
        return file

    return write


@pytest.fixture
def shows_no_secret() -> Callable[[BaseException, str], None]:
    """Fails where a secret is in the message of an error, or in anything that a log prints of it."""

    def check(error: BaseException, secret: str) -> None:
        """Neither in the message nor in anything that a log prints of the error."""
        if len(secret.strip()) < 16:
            return
        shown = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error)) + str(error.args)
        assert secret.strip() not in shown
        assert secret.strip()[:16] not in shown

    return check
