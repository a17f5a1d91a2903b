"""Values of many classes of the standard library, written by one Python and read by another.

    python standard_values.py write FOLDER      a file for each value and protocol
    python standard_values.py read FOLDER       prints what is read otherwise than it is made here, a line each

Takes nothing but the codec, hence any Python that has the package on its path, without its dependencies.
"""

from __future__ import annotations

import array
import ast
import asyncio
import calendar
import collections
import concurrent.futures
import configparser
import datetime
import decimal
import email.message
import enum
import fractions
import functools
import genericpath
import hashlib
import http
import http.cookies
import inspect
import io
import ipaddress
import itertools
import json
import logging
import operator
import os.path
import pathlib
import queue
import random
import re
import socket
import statistics
import string
import subprocess
import sys
import time
import traceback
import types
import typing
import urllib.error
import urllib.parse
import uuid
import xml.etree.ElementTree
import zipfile
import zoneinfo
from collections.abc import Callable
from pathlib import Path
from typing import Any

from store.codecs.pickle import codec

MAKERS: dict[str, Callable[[], Any]] = {
    "Path": lambda: pathlib.Path("/a/b"),
    "PurePosixPath": lambda: pathlib.PurePosixPath("a/b"),
    "PureWindowsPath": lambda: pathlib.PureWindowsPath("c:/a/b"),
    "path class": lambda: pathlib.PurePath,
    "zipfile.Path": lambda: zipfile.Path,
    "ZipInfo": lambda: zipfile.ZipInfo("a").filename,
    "re.error": lambda: re.error("no", "a(", 1),
    "Pattern": lambda: re.compile("a+", re.IGNORECASE),
    "RegexFlag": lambda: re.IGNORECASE | re.MULTILINE,
    "deque iterator": lambda: iter(collections.deque([1, 2])),
    "deque reverse iterator": lambda: reversed(collections.deque([1, 2])),
    "EnumType": lambda: enum.EnumMeta,
    "enum dict": lambda: enum._EnumDict,
    "ResourceReader": lambda: __import__("importlib.resources.abc").resources.abc.ResourceReader,
    "resources": lambda: __import__("importlib.resources").resources.files,
    "read_text": lambda: __import__("importlib.resources").resources.read_text,
    "ForwardRef": lambda: typing.ForwardRef,
    "lock class": lambda: type(__import__("threading").Lock()),
    "sha512": lambda: hashlib.sha512,
    "lexists": lambda: os.path.lexists,
    "islink": lambda: os.path.islink,
    "exists": lambda: genericpath.exists,
    "date": lambda: datetime.date(2024, 2, 29),
    "datetime": lambda: datetime.datetime(2024, 2, 29, 1, 2, 3, 4, datetime.UTC, fold=1),
    "time": lambda: datetime.time(1, 2, 3),
    "timedelta": lambda: datetime.timedelta(1, 2, 3),
    "timezone": lambda: datetime.timezone(datetime.timedelta(hours=1), "x"),
    "ZoneInfo": lambda: zoneinfo.ZoneInfo("UTC"),
    "Decimal": lambda: decimal.Decimal("1.50"),
    "Context": lambda: decimal.Context(prec=5),
    "DivisionByZero": lambda: decimal.DivisionByZero("x"),
    "Fraction": lambda: fractions.Fraction(1, 3),
    "UUID": lambda: uuid.UUID(int=5),
    "SafeUUID": lambda: uuid.SafeUUID.safe,
    "IPv4Address": lambda: ipaddress.ip_address("10.0.0.1"),
    "IPv6Address": lambda: ipaddress.ip_address("::1%eth0"),
    "IPv4Network": lambda: ipaddress.ip_network("10.0.0.0/8"),
    "IPv4Interface": lambda: ipaddress.ip_interface("10.0.0.1/8"),
    "AddressValueError": lambda: ipaddress.AddressValueError("x"),
    "OrderedDict": lambda: collections.OrderedDict(a=1),
    "Counter": lambda: collections.Counter("aab"),
    "defaultdict": lambda: collections.defaultdict(list, a=[1]),
    "deque": lambda: collections.deque([1, 2], 5),
    "ChainMap": lambda: collections.ChainMap({"a": 1}),
    "UserDict": lambda: collections.UserDict(a=1),
    "UserList": lambda: collections.UserList([1]),
    "array": lambda: array.array("d", [1.5]),
    "Random": lambda: random.Random(5).random(),
    "SimpleNamespace": lambda: types.SimpleNamespace(a=1),
    "partial": lambda: functools.partial(int, base=2)("11"),
    "itemgetter": lambda: operator.itemgetter(1, 2),
    "methodcaller": lambda: operator.methodcaller("upper"),
    "range": lambda: range(1, 9, 2),
    "slice": lambda: slice(1, 2),
    "complex": lambda: 1j,
    "struct_time": lambda: time.gmtime(0),
    "NormalDist": lambda: statistics.NormalDist(1, 2),
    "Element": lambda: xml.etree.ElementTree.tostring(xml.etree.ElementTree.fromstring("<a b='c'>d</a>")),
    "ElementTree.ParseError": lambda: xml.etree.ElementTree.ParseError("x"),
    "ParseResult": lambda: urllib.parse.urlparse("http://a/b?c"),
    "URLError": lambda: str(urllib.error.URLError("x")),
    "SimpleCookie": lambda: http.cookies.SimpleCookie("a=b").output(),
    "HTTPStatus": lambda: http.HTTPStatus.NOT_FOUND,
    "AddressFamily": lambda: socket.AF_INET,
    "JSONDecodeError": lambda: json.JSONDecodeError("x", "doc", 0),
    "TimeoutError": lambda: TimeoutError("x"),
    "CancelledError": lambda: asyncio.CancelledError("x"),
    "futures.TimeoutError": lambda: concurrent.futures.TimeoutError("x"),
    "futures.BrokenExecutor": lambda: concurrent.futures.BrokenExecutor("x"),
    "QueueShutDown": lambda: queue.Empty("x"),
    "CalledProcessError": lambda: str(subprocess.CalledProcessError(1, "a")),
    "CompletedProcess": lambda: vars(subprocess.CompletedProcess(["a"], 0, "x")),
    "configparser.Error": lambda: configparser.NoSectionError("x"),
    "LogRecord": lambda: logging.LogRecord("a", 10, "p", 1, "m", (), None).getMessage(),
    "Message": lambda: email.message.Message().as_string(),
    "Template": lambda: string.Template("$a").template,
    "StringIO": lambda: io.StringIO("abc").getvalue(),
    "BytesIO": lambda: io.BytesIO(b"abc").getvalue(),
    "chain": lambda: list(itertools.chain([1], [2])),
    "calendar error": lambda: calendar.IllegalMonthError(13),
    "ast": lambda: ast.unparse(ast.parse("a + 1")),
    "FrameSummary": lambda: traceback.FrameSummary("f", 1, "n", lookup_line=False).name,
    "Parameter": lambda: inspect.Parameter("a", inspect.Parameter.POSITIONAL_ONLY),
    "Signature": lambda: inspect.signature(lambda a, *, b=1: None),
    "typing": lambda: typing.Literal[1],
    "union": lambda: int | str,
    "generic": lambda: list[int],
    "abc": lambda: collections.abc.Mapping,
    "exceptions": lambda: ExceptionGroup("x", [ValueError(1), OSError(2, "no", "file")]),
    "builtins": lambda: [Ellipsis, NotImplemented, type(None), len, {1, 2}, frozenset({3}), b"x", bytearray(b"y")],
}
# Iterators say nothing of what is left in them, and errors compare by identity.
SHOWN: dict[str, Callable[[Any], Any]] = {"deque iterator": list, "deque reverse iterator": list}
PROTOCOLS = (0, 2, 4, 5)
PLAIN = ("Path", "PurePosixPath", "PureWindowsPath", "date", "Decimal", "UUID", "Counter")  # read with restraint too


def shown(name: str, value: Any) -> Any:
    found = SHOWN.get(name, lambda one: one)(value)
    if isinstance(found, BaseException):
        return type(found), repr(found.args), str(found)
    return found


def write(folder: Path) -> None:
    for name, make in MAKERS.items():
        # In the others the standard library itself calls TimeoutError what Python 2 called it: OSError.
        for protocol in PROTOCOLS if "TimeoutError" not in name else (4, 5):
            try:
                body = codec.encode(make(), protocol)
            except Exception:  # this Python has none, or pickles none in that protocol
                continue
            (folder / f"{name}.{protocol}").write_bytes(body)


def read(folder: Path) -> None:
    for file in sorted(folder.iterdir()):
        name = file.name.rpartition(".")[0]
        try:
            mine = shown(name, MAKERS[name]())
            found = shown(name, codec.decode(file.read_bytes()))
            if name in PLAIN and codec.decode_restricted(file.read_bytes(), allow={}) != mine:
                print(f"{file.name}: something else with restraint")
        except Exception as exc:
            print(f"{file.name}: {type(exc).__name__}: {exc}")
            continue
        if found != mine and repr(found) != repr(mine):
            print(f"{file.name}: {found!r} is not {mine!r}")


if __name__ == "__main__":
    {"write": write, "read": read}[sys.argv[1]](Path(sys.argv[2]))
