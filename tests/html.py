"""A response, read the way a person or a script reads the page."""

import re
from html.parser import HTMLParser


class Page:
    def __init__(self, response):
        self.response = response
        self.status = response.status_code
        self.html = response.content.decode()
        self.ids = re.findall(r'data-asset-id="([^"]+)"', self.html)
        self.text = _text(self.html)

    @property
    def total(self):
        return int(re.search(r'data-total="(\d+)"', self.html)[1])

    @property
    def errors(self):
        found = re.search(r'<div class="notice error" role="alert">(.*?)</div>', self.html, re.DOTALL)
        return re.findall(r"<li>(.*?)</li>", found[1]) if found else []

    @property
    def chips(self):
        return [
            " ".join(pair)
            for pair in re.findall(
                r'<span class="chip-label">(.*?)</span> <span class="chip-text">(.*?)</span>', self.html
            )
        ]

    def link(self, rel):
        """Where the link with that relation leads; None where there is none."""
        for tag in re.findall(r"<a [^>]*>", self.html):
            if f'rel="{rel}"' in tag:
                return re.search(r'href="([^"]*)"', tag)[1].replace("&amp;", "&")
        return None


def setting_lines(page):
    """Each line of the settings inspector, with its depth."""
    inspector = page.response.context["inspector"]
    known = [value for _, settings in inspector.groups for setting in settings for value in setting.values]
    return list(_lines([*known, *inspector.values], 0))


def _lines(values, depth):
    for value in values:
        yield depth, value
        yield from _lines(value.items, depth + 1)


class _Text(HTMLParser):
    def __init__(self):
        super().__init__()
        self.parts = []

    def handle_data(self, data):
        self.parts.append(data)


def _text(html):
    parser = _Text()
    parser.feed(html)
    return " ".join(" ".join(parser.parts).split())
