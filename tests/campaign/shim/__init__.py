"""The library that stands between a program and the file system (`shim.h`), built with the system's compiler.

A program is run with `LD_PRELOAD` naming it; `loaded` gives it the functions of the library.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

SOURCES = Path(__file__).parent
OPS = (
    "open close read write sync truncate rename unlink link mkdir rmdir mmap flock allocate copy stat fstat list thread"
).split()
"""The calls, as `enum op` numbers them."""
MISSING = "SKIPPED WITHOUT A TEST: no C compiler (cc or gcc) here, or no 64-bit Linux with glibc"
TIMEOUT = 60.0  # seconds


@cache
def library(folder: Path | None = None) -> Path | None:
    """The library, built once per process, in a folder of its own where none is given; None where none can be built."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux" or sys.maxsize < 2**32:
        return None
    target = Path(tempfile.mkdtemp(prefix="shim-") if folder is None else folder) / "shim.so"
    command = [compiler, "-O1", "-std=gnu11", "-Wall", "-Wextra", "-shared", "-fPIC", "-pthread"]
    sources = sorted(str(source) for source in SOURCES.glob("*.c"))
    done = subprocess.run(
        [*command, *sources, "-o", str(target), "-ldl"], capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    if done.returncode:
        raise RuntimeError(f"the shim does not compile: {done.stderr}")
    return target


def loaded() -> ctypes.CDLL:
    """The functions of the library in a process that runs with it. Raises: AttributeError: it does not."""
    functions = ctypes.CDLL(None)
    functions.shim_die.argtypes = [ctypes.c_long]
    functions.shim_watch.argtypes = functions.shim_record.argtypes = functions.shim_mark.argtypes = [ctypes.c_char_p]
    return functions
