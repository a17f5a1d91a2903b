"""Running a command in the process of the test."""

import io
import sys
from typing import NamedTuple

import pytest

from store import Store
from store.cli import main


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys):
    """Runs a command and gives its exit code and what it printed; `clock=` tells it the time."""

    def run(*args, **options):
        code = main([str(arg) for arg in args], **options)
        result = Result(code, *capsys.readouterr())
        if code == 1 and any("://" in str(arg) for arg in args) and " does not have " in result.err:
            pytest.skip(result.err)  # the contract of the engines says which lacks what
        return result

    return run


@pytest.fixture
def filled(path):
    """A file with a few records."""
    return fill(path)


@pytest.fixture
def stocked(place):
    """The same on each engine, but memory."""
    return fill(place)


def fill(place):
    with Store(place) as s:
        s.update({"user:2": {"name": "Bob"}, "user:1": {"name": "Alice"}, "greeting": "hello"})
        s.put("session:4f2a", {"user": 1}, ttl=1800)
        with s.within("settings") as settings:
            settings["limits"] = (-5, 5)
    return place


@pytest.fixture
def stdin(monkeypatch):
    def give(data: bytes):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give


@pytest.fixture
def fails(run):
    """Runs a command and checks that it ends with one line on stderr."""

    def fails(code, words, *args):
        result = run(*args)
        assert result.code == code, result
        assert result.out == ""
        assert result.err.startswith("store: ") and result.err.endswith("\n")
        assert result.err.count("\n") == 1
        assert words in result.err
        return result

    return fails
