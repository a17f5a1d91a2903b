"""Images as thumbnails: formats by their first bytes, and sizes from their headers, before a browser decodes them.

A few kilobytes can describe an image of gigabytes, so each size that a decoder would allocate is read first. PNG:
https://www.w3.org/TR/png-3/; JPEG: ITU-T T.81; GIF: https://www.w3.org/Graphics/GIF/spec-gif89a.txt; WebP:
https://developers.google.com/speed/webp/docs/riff_container. SVG is no image here, since it may hold scripts.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from store.display.html import Html, element, image_url

MOST_SIDE = 4_096  # pixels
MOST_FRAMES = 1_000  # of a GIF
MOST_SCANS = 64  # of a progressive JPEG: a decoder goes over all of the image for each
_PNG = b"\x89PNG\r\n\x1a\n"
_SIZED = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers of JPEG that begin a frame
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers of JPEG without a segment


class Picture(NamedTuple):
    """The format and the size in pixels of an image. `problem`: why no browser should decode it."""

    media_type: str
    width: int
    height: int
    problem: str | None = None

    @property
    def title(self) -> str:
        """The format and the size: `PNG image, 640 × 480`."""
        kind = {"image/jpeg": "JPEG", "image/webp": "WebP"}.get(self.media_type, self.media_type[6:].upper())
        return f"{kind} image, {self.width:,} × {self.height:,}"


def picture_of(content: bytes) -> Picture | None:
    """What the header of an image says, None for bytes that are no image."""
    for is_format, media_type, read in _FORMATS:
        if is_format(content):
            try:
                width, height, problem = read(content)
            except (struct.error, IndexError):  # its header is cut off
                return None
            if width < 1 or height < 1:
                return None
            if max(width, height) > MOST_SIDE:
                problem = f"more than {MOST_SIDE:,} pixels on a side"
            return Picture(media_type, width, height, problem)
    return None


def thumbnail(content: bytes, picture: Picture, side: int) -> Html:
    """An image no larger than `side` pixels on the page. Raises: ValueError: a browser should not decode it."""
    if picture.problem is not None:
        raise ValueError(f"{picture.title}: {picture.problem}")
    scale = min(1.0, side / max(picture.width, picture.height))
    return element(
        "img",
        class_="thumbnail",
        src=image_url(content, picture.media_type),
        alt=picture.title,
        title=picture.title,
        width=max(1, round(picture.width * scale)),
        height=max(1, round(picture.height * scale)),
        loading="lazy",
        decoding="async",
    )


_Size = tuple[int, int, "str | None"]


def _png(content: bytes) -> _Size:
    if content[8:16] != b"\0\0\0\rIHDR":
        return 0, 0, None
    width, height = struct.unpack_from(">II", content, 16)
    return width, height, None


def _gif(content: bytes) -> _Size:
    """The largest area of any frame: a browser makes room for those that lie outside of the screen as well."""
    width, height, flags = struct.unpack_from("<HHB", content, 6)
    at = 13 + _colors(flags)
    frames = 0
    while at < len(content) and frames <= MOST_FRAMES:
        if content[at] == 0x2C:
            left, top, wide, high, flags = struct.unpack_from("<HHHHB", content, at + 1)
            width, height, frames = max(width, left + wide), max(height, top + high), frames + 1
            at = _after_blocks(content, at + 11 + _colors(flags))
        elif content[at] == 0x21:
            at = _after_blocks(content, at + 2)
        else:
            break
    return width, height, None if frames <= MOST_FRAMES else f"more than {MOST_FRAMES:,} frames"


def _colors(flags: int) -> int:
    """The bytes of the table of colors that follows."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(content: bytes, at: int) -> int:
    while at < len(content) and content[at]:
        at += content[at] + 1
    return at + 1


def _jpeg(content: bytes) -> _Size:
    width = height = 0
    at = 2
    while content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # filling
            at += 1
        elif marker in _BARE:
            at += 2
        elif marker == 0xDA:  # from here on there is the image itself
            many = content.count(b"\xff\xda", at) > MOST_SCANS
            return width, height, f"more than {MOST_SCANS} scans" if many else None
        else:
            (length,) = struct.unpack_from(">H", content, at + 2)
            if marker in _SIZED:
                high, wide = struct.unpack_from(">HH", content, at + 5)
                width, height = max(width, wide), max(height, high)
            at += 2 + length
    return 0, 0, None


def _webp(content: bytes) -> _Size:
    kind = content[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(content[at : at + 3], "little") + 1 for at in (24, 27))
        return width, height, None
    if kind == b"VP8L" and content[20] == 0x2F:
        (bits,) = struct.unpack_from("<I", content, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, None
    if kind == b"VP8 " and content[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF, None
    return 0, 0, None


_FORMATS: tuple[tuple[Callable[[bytes], bool], str, Callable[[bytes], _Size]], ...] = (
    (lambda content: content.startswith(_PNG), "image/png", _png),
    (lambda content: content.startswith(b"\xff\xd8\xff"), "image/jpeg", _jpeg),
    (lambda content: content.startswith((b"GIF87a", b"GIF89a")), "image/gif", _gif),
    (lambda content: content.startswith(b"RIFF") and content[8:12] == b"WEBP", "image/webp", _webp),
)
