"""Imports that wait until they are needed."""

from __future__ import annotations

import errno
import os

import pytest

from store.errors import StorageError
from store.system import late as module
from store.system.late import late


def test_object_of_a_module() -> None:
    assert late("os.path:join", "x") is os.path.join


def test_module_that_is_not_there() -> None:
    with pytest.raises(ImportError):
        late("no_such_module:x", "x")


def test_no_descriptor_is_left_to_load_it_by(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(name: str) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(module, "import_module", none_left)
    with pytest.raises(StorageError, match=r"app\.db cannot be reached.*as many files open as it may") as caught:
        late("json:loads", "app.db")
    assert caught.value.errno == errno.EMFILE
