"""Texts that run a script, fetch or navigate where a page shows them unescaped: each leaves a mark of its own.

A script sets `window.marker` to the number of its attack; what fetches or navigates asks a server (`trap_server.py`)
for `/hit/NUMBER`.
"""

from __future__ import annotations

from typing import NamedTuple


class Attack(NamedTuple):
    """`text` has the words SCRIPT and ADDRESS in it, in place of what would run or be asked for."""

    name: str
    text: str
    is_clicked: bool = False
    """Whether it takes a click."""
    stops_at_policy: bool = True
    """Whether our content-security-policy stops it even where it is unescaped."""


ATTACKS = [
    Attack("script", "<script>SCRIPT</script>"),
    Attack("script from elsewhere", "<script src=ADDRESS></script>"),
    Attack("end of an attribute", '"><script>SCRIPT</script>'),
    Attack("end of a single-quoted attribute", "'><script>SCRIPT</script>"),
    Attack("handler in an attribute", '" autofocus tabindex=0 onfocus="SCRIPT'),
    Attack("handler in a single-quoted attribute", "' autofocus tabindex=0 onfocus='SCRIPT"),
    Attack("end of the title", "</title><script>SCRIPT</script>"),
    Attack("end of a text area", "</textarea><script>SCRIPT</script>"),
    Attack("end of a comment", "--><script>SCRIPT</script><!--"),
    Attack("image that fails", "<img src=x: onerror=SCRIPT>"),
    Attack("image from elsewhere", "<img src=ADDRESS>"),
    Attack("upper case", "<IMG SRC=x: ONERROR=SCRIPT>"),
    Attack("unfinished tag", "<svg/onload=SCRIPT//"),
    Attack("details", "<details open ontoggle=SCRIPT>x</details>"),
    Attack("svg", "<svg onload=SCRIPT>"),
    Attack("script of an svg", "<svg><script>SCRIPT</script></svg>"),
    Attack("animation of an svg", "<svg><animate onbegin=SCRIPT attributeName=x dur=1s>"),
    Attack("svg use", '<svg><image href="ADDRESS" width=9 height=9 /></svg>'),
    Attack("namespaces mixed", "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=x: onerror=SCRIPT&gt;'><img src=x: onerror=SCRIPT>"),
    Attack("link to a script", "<a href=javascript:SCRIPT>x</a>", is_clicked=True),
    Attack("link with a tab in its scheme", "<a href='java\tscript:SCRIPT'>x</a>", is_clicked=True),
    Attack("button to a script", "<form><button formaction=javascript:SCRIPT>x</button></form>", is_clicked=True),
    Attack("form to elsewhere", "<form action=ADDRESS><button>x</button></form>", is_clicked=True),
    Attack("frame of a script", "<iframe src=javascript:parent.SCRIPT></iframe>"),
    Attack("frame of a text", "<iframe srcdoc='<script>parent.SCRIPT</script>'></iframe>"),
    Attack("frame of elsewhere", "<iframe src=ADDRESS></iframe>"),
    Attack("object", "<object data=ADDRESS></object>"),
    Attack("embedded", "<embed src=ADDRESS>"),
    Attack("style", "<style>@import 'ADDRESS';</style>"),
    Attack("style of an element", "<p style=background:url(ADDRESS)>x</p>"),
    Attack("style sheet", "<link rel=stylesheet href=ADDRESS>"),
    Attack("video", "<video src=ADDRESS autoplay></video>"),
    Attack("base", "<base href=ADDRESS/><img src=x>"),
    Attack("refresh", "<meta http-equiv=refresh content='0;url=ADDRESS'>", stops_at_policy=False),  # it navigates
]  # fmt: skip
NAMES = [attack.name for attack in ATTACKS]


def written(number: int, server: str) -> str:
    """The text of an attack, with its mark."""
    text = ATTACKS[number].text.replace("SCRIPT", f"marker={number}")
    return text.replace("ADDRESS", f"{server}/hit/{number}")


def unescaped(text: str) -> str:
    """A page that shows a text as no page must: as markup, in each place where pages show texts."""
    return (
        f"<!doctype html><html lang=en><head><meta charset=utf-8><title>{text}</title></head><body>"
        f"<!--{text}--><div title=\"{text}\">a</div><div title='{text}'>b</div>"
        f"<textarea>{text}</textarea><div>{text}</div></body></html>"
    )
