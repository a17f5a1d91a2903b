"""`Bounds`: how much of a value one page shows."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

MOST_ITEMS = 1_000
MOST_CHARACTERS = 40_000
MOST_IMAGE_BYTES = 4 * 1024 * 1024
MOST_PIXELS = 2 * 4_096 * 4_096  # a browser takes 4 bytes for each, or 8
MOST_DEEP = 8
SECONDS = 1.0


class Bounds:
    """An allowance of items, characters, images and seconds for one value, which its parts share.

    `deep` is the number of levels that are shown as a tree.
    """

    def __init__(
        self,
        items: int = MOST_ITEMS,
        characters: int = MOST_CHARACTERS,
        image_bytes: int = MOST_IMAGE_BYTES,
        deep: int = MOST_DEEP,
        seconds: float = SECONDS,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.deep = deep
        self._items = items
        self._characters = characters
        self._image_bytes = image_bytes
        self._pixels = MOST_PIXELS
        self._clock = clock
        self._end = clock() + seconds

    def is_spent(self) -> bool:
        """Whether nothing more is to be shown."""
        return self._items <= 0 or self._characters <= 0 or self._clock() > self._end

    def take_item(self) -> bool:
        """Takes one item from the allowance. False: there is none left."""
        if self.is_spent():
            return False
        self._items -= 1
        return True

    def take_characters(self, most: int) -> int:
        """How many characters may be shown, at most so many; they are taken from the allowance."""
        taken = max(0, min(most, self._characters))
        self._characters -= taken
        return taken

    def take_image(self, size: int, pixels: int) -> bool:
        """Takes the bytes and the pixels of an image from the allowance, if there are as many.

        A few kilobytes can hold an image of many pixels, and a value many of these.
        """
        if size > self._image_bytes or pixels > self._pixels:
            return False
        self._image_bytes -= size
        self._pixels -= pixels
        return True
