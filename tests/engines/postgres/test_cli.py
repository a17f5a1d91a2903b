"""The command line on a URL: what the engine cannot do is one line, and exit code 1."""

from __future__ import annotations

from typing import Any

import pytest

from store import Store
from store.cli import main
from store.engines.postgres.engine import PostgresEngine


@pytest.mark.parametrize(
    "capability, command",
    [("care", ["compact", "URL"]), ("changes", ["watch", "URL", "--timeout", "0"]), ("care", ["rekey", "URL"])],
)
def test_command_that_the_engine_lacks(
    postgres_url: str, capability: str, command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    with Store[Any](postgres_url) as s:
        s["a"] = 1
    init = PostgresEngine.__init__

    def without(self: Any, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        setattr(self, capability, None)

    monkeypatch.setattr(PostgresEngine, "__init__", without)
    assert main([postgres_url if word == "URL" else word for word in command]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("store: the engine 'postgresql' does not have ")
    assert err.count("\n") == 1


def test_wrong_url_is_a_wrong_call(capsys: Any) -> None:
    assert main(["ls", "postgresql://h/db?schema=a-b"]) == 2
    assert "schema='a-b' in the URL is not a name" in capsys.readouterr().err


def test_schema_without_a_store(postgres_url: str, capsys: Any) -> None:
    assert main(["ls", postgres_url]) == 1
    assert "there is no store at" in capsys.readouterr().err
