"""What goes into this room and what comes out of it."""

import hashlib
from dataclasses import dataclass

import orjson


@dataclass(frozen=True, slots=True)
class Source:
    """The bytes of one row, with what its connector knows about them."""

    content: bytes
    filename: str | None = None
    media_type: str | None = None
    title: str | None = None
    url: str | None = None
    select: tuple[str, ...] = ()  # CSS selectors of what to take of HTML, none: the main content,
    remove: tuple[str, ...] = ()  # and of what to take away before


@dataclass(frozen=True, slots=True)
class Document:
    """A chunk of about 400 tokens. `heading` is the path it stands under (`Guide > Install`), "" if none; `tokens` is exact (o200k_base)."""

    text: str
    heading: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Extracted:
    """The text of one row. `text_hash` is the sha256, in hex, of its title and documents."""

    title: str | None
    documents: tuple[Document, ...]
    text_hash: str


def hash_text(title: str | None, documents: tuple[Document, ...]) -> str:
    """sha256 in hex over the title and the documents with their headings; equal hashes mean that a reader sees no difference."""
    return hashlib.sha256(orjson.dumps([title, [[document.text, document.heading] for document in documents]])).hexdigest()
