"""The headings of a Markdown text, and the path of headings under which each of its parts stands."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_LINE = re.compile(
    r"(?=[ \t]*[`~#=-])(?:[ \t]*(?P<fence>`{3,}|~{3,})(?P<info>.*)"
    r"| {0,3}(?P<marks>#{1,6})(?=[ \t]|\Z)(?P<title>.*)"
    r"| {0,3}(?P<underline>={2,}|-{2,})[ \t]*\Z)"
)
_FIRST = frozenset(" \t`~#=-")  # of a line that the pattern may match
_NOT_PARAGRAPH = re.compile(r"[#>|]|[-*+](?:[ \t]|$)|\d{1,9}[.)](?:[ \t]|$)|[-=*_ \t]+$")
_LINK = re.compile(r"!?\[([^\[\]]{0,500})\]\([^()\s]{0,2000}\)")
_MARKS = re.compile(r"[*`]+|(?<!\w)_+|_+(?!\w)")
_BLANK = re.compile(r"\s*")


class Heading(NamedTuple):
    """One heading: where its lines start and end (characters), its level (1 to 6), its text without marks."""

    start: int
    end: int
    level: int
    title: str


def find_headings(text: str) -> Iterator[Heading]:
    """The ATX and setext headings of a Markdown text, in order. What looks like one inside fenced code is none."""
    fence = above = ""
    start = 0
    for line in text.split("\n"):  # a pattern over the whole text looks at each of its characters
        match = _LINE.match(line) if line[:1] in _FIRST else None
        if match is None:
            pass
        elif match.lastgroup == "info":
            fence = _after_fence(fence, match["fence"], match["info"])
        elif fence:
            pass
        elif match.lastgroup == "title":
            yield Heading(start, start + len(line), len(match["marks"]), strip_marks(match["title"].strip().rstrip("#").rstrip()))
        elif _is_paragraph(above):
            yield Heading(start - len(above) - 1, start + len(line), 1 if match["underline"][0] == "=" else 2, strip_marks(above))
        start += len(line) + 1
        above = line


def heading_paths(text: str, headings: Iterable[Heading], spans: Iterable[tuple[int, int]]) -> Iterator[str]:
    """For each (start, end) of a part of `text`, in order: the path (`Guide > Install`) of the headings over its first words that are
    not a heading themselves; where it is headings only, of the last of them.
    """
    remaining = iter(headings)
    path: list[Heading] = []
    upcoming = next(remaining, None)
    for start, end in spans:
        position = start
        while upcoming is not None and upcoming.start <= position < end:
            while path and path[-1].level >= upcoming.level:
                path.pop()
            path.append(upcoming)
            position = max(position, _skip_blank(text, upcoming.end))
            upcoming = next(remaining, None)
        yield " > ".join(heading.title for heading in path if heading.title)


def strip_marks(text: str) -> str:
    """A heading's text without emphasis, code marks and link targets."""
    if "[" in text:
        text = _LINK.sub(r"\1", text)
    if "*" in text or "`" in text or "_" in text:
        text = _MARKS.sub("", text)
    return " ".join(text.split())


def _after_fence(fence: str, marker: str, info: str) -> str:
    """The fence that is open behind a fence line, "" if none. A fence is closed by one of its kind, at least as long, with nothing behind."""
    if not fence:
        return "" if marker[0] == "`" and "`" in info else marker
    closes = marker[0] == fence[0] and len(marker) >= len(fence) and not info.strip()
    return "" if closes else fence


def _is_paragraph(line: str) -> bool:
    """Whether an underline below this line makes it a heading."""
    bare = line.lstrip(" ")
    return bool(bare.strip()) and len(line) - len(bare) < 4 and not bare.startswith("\t") and not _NOT_PARAGRAPH.match(bare)


def _skip_blank(text: str, position: int) -> int:
    match = _BLANK.match(text, position)
    return match.end() if match else position
