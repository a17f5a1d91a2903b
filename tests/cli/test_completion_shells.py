"""Hostile names completed by zsh and fish: what is inserted stands for the name, and Enter runs nothing of it.

bash has `test_completion.py`. A shell that is not installed is skipped, and pytest says so.
"""

import os
import pty
import select
import shutil
import signal
import sys

import pytest

from store import Store

MARKER = "ran"
NAMES = {  # by the letter that is typed of each
    "a": f"a$(touch {MARKER})",
    "b": f"b`touch {MARKER}`${{HOME}}",
    "c": f"c;touch {MARKER}&touch {MARKER}|sh #",
    "d": "d'\"\\ !!z{x,y},*?[a]~%1^",
    "e": f"e=(touch {MARKER})<(touch {MARKER})(touch {MARKER})",
}

# The words that are waited for must not be in what is typed, which the terminal shows as well.
SHELLS = {
    "zsh": (
        ["-f", "-i"],
        b"\n",
        r"""
PS1= PS2= RPS1=; unset zle_bracketed_paste; stty columns 1000
autoload -Uz compinit; compinit -u -D; bindkey '^I' complete-word
eval "$(_STORE_COMPLETE=zsh_source store)"; store() { printf 'BEG''IN|'; printf '%s|' "$@"; printf 'EN''D\n'; }
printf 'REA''DY|\n'
""",
    ),
    "fish": (
        ["--no-config", "-i"],
        b"\r",
        r"""
function fish_prompt; end; set -g fish_autosuggestion_enabled 0
env _STORE_COMPLETE=fish_source store | source
function store; printf 'BEG''IN|'; printf '%s|' $argv; printf 'EN''D\n'; end
printf 'REA''DY|\n'
""",
    ),
}


class Shell:
    """An interactive shell on a terminal."""

    def __init__(self, terminal, enter):
        self._terminal, self._enter = terminal, enter

    def type(self, text, until):
        os.write(self._terminal, text.encode() + self._enter)
        return self.read(until)

    def read(self, until):
        seen = b""
        while until not in seen:
            assert select.select([self._terminal], [], [], 60)[0], seen
            seen += os.read(self._terminal, 65536)
        return seen

    def words(self, line):
        """The arguments that `store` is called with, of a line that is typed with Tab behind it."""
        said = self.type(line + "\t", b"|END")
        return said.rpartition(b"BEGIN|")[2].partition(b"|END")[0].decode().split("|", 2)


@pytest.fixture(params=SHELLS)
def shell(request, tmp_path):
    path = shutil.which(request.param)
    if path is None:
        pytest.skip(f"{request.param} is not installed: its completion is not tested here")
    arguments, enter, script = SHELLS[request.param]
    command = tmp_path / "bin" / "store"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m store "$@"\n')
    command.chmod(0o700)
    environment = {
        **os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}", "TERM": "dumb", "HISTFILE": "",
        "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "LC_ALL": "C.UTF-8",
    }  # fmt: skip
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execve(path, [path, *arguments], environment)
    found = Shell(terminal, enter)
    for line in script.strip().splitlines():
        os.write(terminal, line.encode() + enter)
    found.read(b"READY|")
    yield found
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(terminal)


@pytest.mark.heavy
def test_name_is_inserted_as_it_is_and_never_run(shell, tmp_path):
    """In single and double quotes that are open, and without."""
    with Store(tmp_path / "app.db") as s:
        s.update(dict.fromkeys(NAMES.values(), 0))
    for typed, name in NAMES.items():
        for quote in ("", "'", '"'):
            assert shell.words(f"store get app.db {quote}{typed}") == ["get", "app.db", name], (quote, name)
    assert not (tmp_path / MARKER).exists()
    shell.type(f'store "$(touch {MARKER})"', b"|END")  # the control: what is not quoted is run
    assert (tmp_path / MARKER).exists()
