"""`codec="auto"` chooses a codec for each value; records store the name of the chosen codec."""

from __future__ import annotations

import sys
from typing import Any

from store.codecs.contract import Codec
from store.codecs.registry import codecs

AUTO = "auto"
CHOICES = ("numpy", "pickle")


class Auto:
    """`numpy` for arrays and NumPy's scalars, `pickle` for everything else."""

    name = AUTO
    protocols = range(6)  # of pickle; numpy has one only
    default_protocol = 5

    def codec_for(self, value: Any) -> Codec:
        """The codec for a value. Does not import NumPy: if nothing has imported it, the value is not an array."""
        chosen: Codec = codecs.load("numpy" if _is_array(value) else "pickle")
        return chosen


def _is_array(value: Any) -> bool:
    """Whether the codec numpy can hold it: it would lose a subclass, or objects in an array."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return False
    is_array = type(value) is numpy.ndarray or isinstance(value, numpy.generic)
    return is_array and not value.dtype.hasobject
