"""Writes one stream of the corpus to a file: python one_stream.py NAME FILE."""

from __future__ import annotations

import sys
from pathlib import Path

import corpus

Path(sys.argv[2]).write_bytes(corpus.everything()[sys.argv[1]].bytes())
