"""Markdown: the text stays as it is, without the front matter; the title is the front matter's or the first heading's."""

import re

from tidings.text.headings import find_headings
from tidings.text.parts import Draft

_FRONT_MATTER = re.compile(r"\A(?P<mark>---|\+\+\+)[ \t]*\n(?P<body>.*?)(?:^(?P=mark)[ \t]*$\n?)", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r"""^title[ \t]*[:=][ \t]*(?P<title>[^\n]+)$""", re.MULTILINE)
_KEY = re.compile(r"^[A-Za-z_][\w .-]*+[ \t]*+[:=]", re.MULTILINE)
_LOOK_FOR_TITLE = 20_000


def read_markdown(text: str) -> Draft:
    """The text of a Markdown file, given with line feeds as its line ends."""
    title = None
    front = _FRONT_MATTER.match(text)
    # Two rulers with prose between them are no front matter: something between them has to look like a key.
    if front and (not front["body"].strip() or _KEY.search(front["body"])):
        text = text[front.end() :]
        named = _TITLE.search(front["body"])
        title = _unquote(named["title"].strip()) if named else None
    return Draft(text, title or first_heading(text), markdown=True)


def first_heading(text: str) -> str | None:
    """The first top heading near the start of a Markdown text, or the first of any level where there is no top one."""
    first = None
    for heading in find_headings(text[:_LOOK_FOR_TITLE]):
        if heading.title and heading.level == 1:
            return heading.title
        first = first or heading.title
    return first


def _unquote(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value.partition(" #")[0].strip()
