"""A Markdown text as it is read: headings, lists and tables as lines, the rest without its signs. Pure."""

from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def plain(markdown: str) -> str:
    """Its lines. Tags in it are text like any other: whoever shows it escapes it."""
    return "\n".join(line for line in _lines(markdown) if line.strip())


def _lines(markdown: str) -> Iterator[str]:
    start, cells = "", None  # what an item of a list begins with; the cells so far of a row of a table
    for token in _MARKDOWN.parse(markdown):
        if token.type == "list_item_open":
            start = f"{token.info}{token.markup} " if token.info else "• "
        elif token.type == "tr_open":
            cells = list[str]()
        elif token.type == "tr_close" and cells is not None:
            yield " · ".join(filter(None, cells))
            cells = None
        elif token.type == "inline" and cells is not None:
            cells.append(_text(token))
        elif token.type == "inline" and token.content.startswith("|"):  # rows of a table whose head stands in another document
            yield from (" · ".join(filter(None, map(str.strip, row.split("|")))) for row in _text(token, soft="\n").split("\n"))
        elif token.type in {"inline", "fence", "code_block"}:
            yield start + _text(token)
            start = ""


def _text(token: Token, soft: str = " ") -> str:
    """What people read of it: of links their words, of pictures what stands for them."""
    if token.children is None:
        return token.content.strip("\n")
    return "".join("\n" if each.type == "hardbreak" else soft if each.type == "softbreak" else each.content for each in token.children)
