"""What the codec joblib can hold, what it cannot, and bytes that are none of its own."""

from __future__ import annotations

import sys

from shapes import NO_PICKLES, Raises, python_values

values = python_values
never = [(x for x in "x"), sys._getframe(), Raises()]  # no lambda: once a program has imported dill, it holds those too
remedy = "__getstate__"
restrained = False
hostile = NO_PICKLES
