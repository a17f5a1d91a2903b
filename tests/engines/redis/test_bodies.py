"""Bodies that have not changed since a handle read them are not sent again, of many records too."""

from __future__ import annotations

import os
from typing import Any

from kept_bodies import sent_bodies

from store import Store
from store.engines.bodies import LEAST_BYTES

LARGE = LEAST_BYTES * 4


def test_of_many_records_only_the_changed_bodies_are_sent(url: str) -> None:
    values = {name: os.urandom(LARGE) for name in "abc"}
    with Store[Any](url) as s:
        s.update(values)
        assert s.get_many("abcd") == values
        with Store[Any](url) as other:
            other["b"] = values["b"] = os.urandom(LARGE)
            del other["c"], values["c"]
        with sent_bodies(s, url).recorded() as sizes:
            assert s.get_many("abcd") == values
        (size,) = sizes
        assert LARGE < size < LARGE + 500
        assert s.get_many("abcd") == values
