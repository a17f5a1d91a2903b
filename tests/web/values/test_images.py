"""Images by their content, with the size that their header says; those that would fill a browser's memory are not sent."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import pytest
from markup import markup_of

from store.web.values import brief, whole
from store.web.values.bounds import Bounds
from store.web.values.bytestrings import BRIEF_BYTES
from store.web.values.images import MOST_FRAMES, MOST_SCANS, MOST_SIDE, picture_of, thumbnail
from store.web.values.tree import tree


def png(wide: int, high: int, padding: int = 0) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", wide, high, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * ((3 * wide + 1) * high if wide * high < 10_000 else 100))
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"tEXt", b"c\0" + b" " * padding) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def gif(wide: int, high: int, frames: tuple[tuple[int, int, int, int], ...] = ()) -> bytes:
    body = b"".join(b"\x2c" + struct.pack("<HHHHB", *frame, 0) + b"\x02\x02\x4c\x01\x00" for frame in frames)
    return b"GIF89a" + struct.pack("<HHBBB", wide, high, 0x80, 0, 0) + b"\0" * 6 + b"\x21\xf9\x04\0\0\0\0\0" + body + b"\x3b"


def jpeg(wide: int, high: int, scans: int = 1) -> bytes:
    frame = b"\xff\xc2\x00\x0b\x08" + struct.pack(">HH", high, wide) + b"\x01\x01\x11\x00"
    return b"\xff\xd8\xff\xe0\x00\x04ab\xff" + frame + b"\xff\xda\x00\x02xx\xff\x00" * scans + b"\xff\xd9"


def webp(kind: bytes, body: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(body) + 12) + b"WEBP" + kind + struct.pack("<I", len(body)) + body


LOSSY = webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 30, 20))
LOSSLESS = webp(b"VP8L", b"\x2f" + struct.pack("<I", 29 | 19 << 14))
EXTENDED = webp(b"VP8X", b"\0\0\0\0" + (29).to_bytes(3, "little") + (19).to_bytes(3, "little"))
IMAGES = {
    "image/png": png(30, 20), "image/gif": gif(30, 20, ((0, 0, 30, 20),)), "image/jpeg": jpeg(30, 20), "image/webp": LOSSY,
}  # fmt: skip
# The smallest that a browser decodes: 1 × 1, transparent.
REAL_GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")


@pytest.mark.parametrize("media_type", IMAGES)
def test_image_is_known_by_its_content(media_type: str) -> None:
    content = IMAGES[media_type]
    for show in (whole, brief):
        for kind in (bytes, bytearray, memoryview):
            found = markup_of(show(kind(content))).first("img")
            assert found["src"] == f"data:{media_type};base64,{base64.b64encode(content).decode()}"
            assert (found["width"], found["height"]) == ("30", "20") and str(found["alt"]).endswith("image, 30 × 20")


@pytest.mark.parametrize("content", [LOSSY, LOSSLESS, EXTENDED])
def test_size_of_each_form_of_webp(content: bytes) -> None:
    found = picture_of(content)
    assert found is not None and found[1:3] == (30, 20)


def test_thumbnail_keeps_the_proportions() -> None:
    assert markup_of(brief(png(960, 480))).first("img")["width"] == "48"
    assert markup_of(brief(png(960, 480))).first("img")["height"] == "24"
    assert markup_of(whole(png(3000, 2))).first("img")["height"] == "1"
    assert (picture_of(REAL_GIF) or (0,))[1:] == (1, 1, None)


BOMBS = {
    "wide png": png(MOST_SIDE + 1, 1), "high jpeg": jpeg(1, 60_000), "jpeg of many scans": jpeg(9, 9, MOST_SCANS + 1),
    "webp": webp(b"VP8X", b"\0\0\0\0" + b"\xff" * 6), "gif by its screen": gif(60_000, 2), "gif by a frame": gif(2, 2, ((0, 0, 60_000, 60_000),)),
    "gif by the place of a frame": gif(2, 2, ((60_000, 0, 1, 1),)), "gif of many frames": gif(2, 2, ((0, 0, 2, 2),) * (MOST_FRAMES + 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_image_that_fills_memory_is_not_sent(name: str) -> None:
    found = markup_of(whole(BOMBS[name]))
    assert "img" not in found.names() and "not shown as an image: more than" in found.text
    assert "img" not in markup_of(brief(BOMBS[name])).names()
    picture = picture_of(BOMBS[name])
    assert picture is not None
    with pytest.raises(ValueError, match="more than"):
        thumbnail(BOMBS[name], picture, 48)


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="x"/>'
NO_IMAGES: list[Any] = [
    SVG, b"<html>", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDX" + b"\1" * 20, png(0, 5), jpeg(0, 0), b"\xff\xd8\xff", b"\xff\xd8\xffabc", b"GIF89a",
    b"RIFF1234WEBP", b"RIFF1234WEBPVP8 ", webp(b"XXXX", b"\0" * 20), webp(b"VP8 ", b"\0" * 20), b"\xff\xd8\xff\xc0\x00\x00",
    b"\xff\xd8" + b"\xff\xe0\x00\x00" * 3, b"",
]  # fmt: skip


@pytest.mark.parametrize("content", NO_IMAGES)
def test_bytes_that_are_no_image(content: bytes) -> None:
    assert picture_of(content) is None
    assert "img" not in markup_of(whole(content)).names() + markup_of(brief(content)).names()


def test_every_beginning_of_an_image_is_safe() -> None:
    for content in (*IMAGES.values(), LOSSLESS, EXTENDED, *BOMBS.values()):
        for end in range(min(len(content), 120)):
            markup_of(brief(content[:end]))


def test_images_of_one_value_share_an_allowance_of_bytes() -> None:
    content = png(30, 20, padding=10_000)
    found = markup_of(tree([content] * 5, Bounds(image_bytes=3 * len(content))))
    assert found.names().count("img") == 3 and found.text.count("too many bytes or pixels for one page") == 2


def test_images_of_one_value_share_an_allowance_of_pixels() -> None:
    """A flat image of 16 million pixels has some 16 kB: a value of 4 MB could have a browser take 16 GB for them."""
    found = markup_of(tree([png(4_000, 4_000)] * 5, Bounds()))
    assert found.names().count("img") == 2 and found.text.count("too many bytes or pixels for one page") == 3


def test_cell_has_small_images_only() -> None:
    assert "img" in markup_of(brief(png(1_000, 1_000))).names()
    assert "img" not in markup_of(brief(png(1_000, 1_100))).names()
    assert "img" not in markup_of(brief(png(30, 20, padding=BRIEF_BYTES))).names()


def test_end_of_a_long_image_is_read_too() -> None:
    """A comment of more than a megabyte hides a frame, or scans, from a reader of the beginning alone."""
    comment = b"\x21\xfe" + (b"\xff" + b" " * 255) * 5_000 + b"\0"
    small, large = gif(30, 20, ((0, 0, 30, 20),)), gif(30, 20, ((0, 0, 65_535, 65_535),))
    filling = (b"\xff\xfe\xff\xff" + b" " * 65_533) * 20
    calm, busy = jpeg(30, 20), jpeg(30, 20, MOST_SCANS + 2)
    for sound, hostile, at, hidden in ((small, large, 19, comment), (calm, busy, 2, filling)):
        assert "img" in markup_of(whole(sound[:at] + hidden + sound[at:])).names()
        assert "img" not in markup_of(whole(hostile[:at] + hidden + hostile[at:])).names()
