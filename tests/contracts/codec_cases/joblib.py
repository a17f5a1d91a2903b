"""What the codec joblib can hold, what it cannot, and bytes that are none of its own."""

from __future__ import annotations

import threading

from shapes import NO_PICKLES, Raises, python_values

values = python_values
never = [threading.Lock(), (x for x in "x"), lambda: None, Raises()]
remedy = "__getstate__"
restrained = False
hostile = NO_PICKLES
