"""Pages of HTML, read as a browser would, and strictly."""

from __future__ import annotations

import base64
from html.parser import HTMLParser

IMAGE = "data:image/jpeg;base64,"


class Page(HTMLParser):
    """Checks that what is opened is closed; collects texts, images, and what would be fetched."""

    VOID = frozenset({"meta", "br", "img"})

    def __init__(self):
        super().__init__()
        self.open = []
        self.texts = []
        self.fetched = []
        self.images = []

    def handle_starttag(self, tag, attrs):
        self._note(attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self._note(attrs)

    def _note(self, attrs):
        for name, value in attrs:
            if value.startswith(IMAGE):
                self.images.append(base64.b64decode(value.removeprefix(IMAGE)))
            elif name in {"src", "href"} and not value.startswith("#"):  # a mark of the same page
                self.fetched.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def read_page(path):
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    assert page.open == []
    return page
