"""What holds for the statements themselves, whatever they return."""

import re

import pytest

from store import Store
from store.engines.sqlite import statements as sql

STATEMENTS = {
    name: text for name, text in vars(sql).items() if isinstance(text, str) and not name.startswith("__")
} | {
    f"{name} {key}": text for name in ("NAME_PAGES", "PAGES", "FIND_ALL") for key, text in getattr(sql, name).items()
}


@pytest.mark.parametrize("name", sorted(STATEMENTS))
def test_placeholders_have_no_numbers(name):
    """Python 3.12.0 to 3.12.3 warns of them, and then every use fails where warnings are errors (gh-117995)."""
    assert not re.search(r"\?\d", STATEMENTS[name])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("prefix", ["", "n"])
def test_a_page_of_names_costs_the_same_wherever_it_begins(path, prefix, reverse):
    names = [f"n{number:04}" for number in range(3000)]
    with Store(path) as s:
        s.update(dict.fromkeys(names))
        connection = s.opened.engine.handle.engine.connection().ready()

        def steps_to(after):
            """How many instructions of SQLite's machine it takes to read ten names."""
            steps = 0

            def count():
                nonlocal steps
                steps += 1

            connection.set_progress_handler(count, 1)
            try:
                found = s.names(prefix, after=after, limit=10, reverse=reverse)
            finally:
                connection.set_progress_handler(None, 0)
            assert len(found) == 10
            return steps

        ends = [names[1], names[1500], names[-20]]
        first, *others = map(steps_to, reversed(ends[1:]) if reverse else ends)
        assert first < 1000 and all(abs(other - first) < 50 for other in others)
