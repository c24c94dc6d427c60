"""Text to documents: cut at natural borders, each with its heading path and its exact count of tokens."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from semantic_text_splitter import MarkdownSplitter

from tidings.text.documents import Document
from tidings.text.headings import Heading, find_headings, heading_paths
from tidings.text.tokens import count_tokens

CHARACTERS = (1200, 2000)
"""A chunk is full between these: about 400 tokens of English. Cutting by characters is 27 times faster than by tokens."""
STRETCH = 60_000
"""Longer texts go to the splitter in stretches of at most this many characters: its time grows with the square (9 MB as a whole: 20 s)."""

_SPLITTER = MarkdownSplitter(CHARACTERS)


def make_documents(text: str, *, markdown: bool) -> tuple[Document, ...]:
    """The documents of a text; `markdown` says whether lines that look like headings are headings."""
    headings = list(find_headings(text)) if markdown else []
    chunks = list(split_text(text, headings))
    paths = heading_paths(text, headings, [(start, start + len(chunk)) for start, chunk in chunks])
    return tuple(Document(chunk, path, count_tokens(chunk)) for (_, chunk), path in zip(chunks, paths, strict=True))


def split_text(text: str, headings: Sequence[Heading]) -> Iterator[tuple[int, str]]:
    """The chunks of a text with the position (in characters) of each. White space between them is dropped, nothing else."""
    starts = [heading.start for heading in headings]
    start = 0
    while len(text) - start > STRETCH:
        border = _find_border(text, starts, start + STRETCH // 2, start + STRETCH)
        yield from ((start + position, chunk) for position, chunk in _SPLITTER.chunk_indices(text[start:border]))
        start = border
    yield from ((start + position, chunk) for position, chunk in _SPLITTER.chunk_indices(text[start:]))


def _find_border(text: str, starts: Sequence[int], low: int, high: int) -> int:
    """The best place for a cut between `low` and `high`: before the last heading, else behind the last empty line, line, or word."""
    before = bisect_left(starts, high)
    if before and starts[before - 1] > low:
        return starts[before - 1]
    for mark in ("\n\n", "\n", " "):
        found = text.rfind(mark, low, high)
        if found >= 0:
            return found + len(mark)
    return high
