"""Numbers as text whose order is that of the numbers, and back.

A number d.ddd × 10^e is written as the three digits of 500 + e, a colon and its digits: 42 is "501:42", 0.001 is
"497:1". Zero is "0", infinity "9". A negative number is "-", the three digits of 499 − e, a colon, each digit
subtracted from 9, and "~": −42 is "-498:57~"; minus infinity is "-0". Equal numbers are one text, 1 and 1.0 too.

The digits are those of the whole number where it fits 64 bits, else the shortest that give the float again (`repr`).
Both keep the order: a float with a fraction is below 2^53, where these digits lie between the whole numbers beside
it.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

SMALLEST, LARGEST = -(2**63), 2**63 - 1  # whole numbers of SQLite
_FORM = re.compile(r"(-?)([0-9]{3}):([0-9]{1,19})(~?)", re.ASCII)
_SPECIAL = {"0": 0, "9": math.inf, "-0": -math.inf}
_NINES = str.maketrans("0123456789", "9876543210")


def text_of(number: int | float) -> str:
    """The text for a whole number of 64 bits, or for a float. Raises: ValueError: NaN, which equals nothing."""
    if number != number:
        raise ValueError("NaN is no key: it equals no key, so nothing could be found under it")
    if number == 0 or math.isinf(number):
        return "0" if number == 0 else "9" if number > 0 else "-0"
    is_whole = SMALLEST <= number <= LARGEST and number == int(number)
    exact = Decimal(int(number)) if is_whole else Decimal(repr(number))
    digits = "".join(map(str, exact.as_tuple().digits)).rstrip("0")
    if number > 0:
        return f"{500 + exact.adjusted()}:{digits}"
    return f"-{499 - exact.adjusted()}:{digits.translate(_NINES)}~"


def number_of(text: str) -> int | float:
    """The number of a text: an int where it is whole and fits 64 bits. Raises: ValueError: it is no such text."""
    if text in _SPECIAL:
        return _SPECIAL[text]
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r:.80} is not the text of a number")
    is_negative = bool(match[1])
    digits = match[3].translate(_NINES) if is_negative else match[3]
    exponent = 499 - int(match[2]) if is_negative else int(match[2]) - 500
    exact = Decimal((is_negative, tuple(map(int, digits)), exponent - len(digits) + 1))
    is_whole = len(digits) - 1 <= exponent <= 18 and SMALLEST <= exact <= LARGEST
    number = int(exact) if is_whole else float(exact)
    if text_of(number) != text:
        raise ValueError(f"{text!r:.80} is not the text of a number")
    return number
