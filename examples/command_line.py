"""The command line: what is typed after `$`, and what it answers.

Run it from anywhere:

    python examples/command_line.py
"""

import contextlib
import shlex
import sys
import tempfile

from store.cli import main as store

COMMANDS = """
store set app.db settings '{"theme": "dark"}'
store set app.db greeting hello --text
store set app.db session:4f2a '{"user": 1}' --ttl 30m
store set app.db limits '(-5, 5)' --namespace web
store ls app.db --long
store get app.db greeting settings --json
store get app.db nobody
store records app.db --sort size --limit 1 --bytes
store namespaces app.db
store rm app.db --prefix session: --yes
store stats app.db
store copy app.db other.db
store destroy app.db --yes --bytes
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stderr(sys.stdout):
        for line in COMMANDS.strip().splitlines():
            print("$", line)
            code = store(shlex.split(line)[1:])
            if code:
                print("exit code", code)


if __name__ == "__main__":
    main()
