"""Safe HTML: text stays text, whatever it holds, and nothing that runs or fetches can be written."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.display.html import Html, Url, element, image_url, joined, script, table, text


class Reader(HTMLParser):
    """What a browser reads: the tags with their attributes, and the text."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.content = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.content += data


BREAKING = ["<script>x()</script>", '"><img src=x onerror=x()>', "'", "&lt;", "]]>", "<!--", "</td>", "\x00", "\u202e", "\ud800", "é"]


@pytest.mark.parametrize("content", BREAKING)
def test_text_stays_text(content):
    read = Reader(element("p", content, title=content))
    assert [tag for tag, _ in read.tags] == ["p"]
    shown = read.tags[0][1]["title"]
    assert shown == read.content
    assert shown == content or shown.startswith("\\u")
    element("p", content).encode()


@given(st.text(st.characters(), max_size=30))
def test_any_text_adds_no_element(content):
    read = Reader(joined([element("b", content, class_=content), content]))
    assert [tag for tag, _ in read.tags] == ["b"]


def test_markup_stays_markup():
    assert element("p", Html("<b>x</b>"), None, "&") == "<p><b>x</b>&amp;</p>"


@pytest.mark.parametrize("name", ["script", "STYLE", "iframe", "object", "a b", "", "img src"])
def test_element_that_runs_is_refused(name):
    with pytest.raises(ValueError, match="is not an element"):
        element(name)


@pytest.mark.parametrize("name", ["onclick", "onLoad", "style", "srcdoc", "x y", "xlink_href", "ping", ">"])
def test_attribute_that_runs_is_refused(name):
    with pytest.raises(ValueError, match="is not one"):
        element("p", **{name: "x"})


@pytest.mark.parametrize("name", ["href", "src", "action", "formaction"])
def test_address_is_made_by_the_application(name):
    with pytest.raises(TypeError, match="takes a Url"):
        element("a", **{name: "javascript:x()"})
    assert element("a", **{name: Url("/x?a=1&b=2")}) == f'<a {name}="/x?a=1&amp;b=2"></a>'


def test_image_that_may_hold_scripts_is_refused():
    with pytest.raises(ValueError, match="not shown as an image"):
        image_url(b"<svg/>", "image/svg+xml")
    assert image_url(b"\x89PNG", "image/png") == "data:image/png;base64,iVBORw=="


def test_script_is_one_of_the_application():
    assert script(Url("/page.js")) == '<script src="/page.js" defer></script>'
    with pytest.raises(TypeError):
        script("/page.js")


def test_table_has_headings_of_columns_or_of_rows():
    assert table(["<a>"], [["1"]]) == (
        '<table><thead><tr><th scope="col">&lt;a&gt;</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>'
    )
    assert table((), [("a", "<1>")]) == (
        '<table><tbody><tr><th scope="row">a</th><td>&lt;1&gt;</td></tr></tbody></table>'
    )


def test_attributes_are_written_as_html_has_them():
    assert element("input", for_="a", aria_label="b", disabled=True, checked=False, value=None, min=0) == (
        '<input for="a" aria-label="b" disabled min="0">'
    )


def test_line_breaks_of_a_text_stay():
    assert text("a\nb\tc\x1b") == "a\nb\tc\\u001b"
