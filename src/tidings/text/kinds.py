"""Which kind of document some bytes are: by what they are first, then by the media type, then by the name."""

import io
import re
import zipfile
from enum import Enum
from posixpath import splitext

from tidings.text.decode import guess_utf16


class Kind(Enum):
    """A kind of content; the value is how sentences name it."""

    HTML = "HTML page"
    MARKDOWN = "Markdown file"
    TEXT = "text file"
    CSV = "CSV file"
    JSON = "JSON file"
    PDF = "PDF"
    DOCX = "Word document"
    PPTX = "presentation"
    SHEET = "spreadsheet"
    EPUB = "EPUB book"
    LOCKED_OFFICE = "Office file with a password"
    OLD_OFFICE = "Office file in a format from before 2007"
    ARCHIVE = "archive"
    MEDIA = "image, sound or video"
    BINARY = "binary file"


_BY_SUFFIX = {
    **dict.fromkeys(("html", "htm", "xhtml"), Kind.HTML),
    **dict.fromkeys(("md", "markdown", "mdown", "mkd", "mdx", "qmd", "rmd"), Kind.MARKDOWN),
    **dict.fromkeys(("csv", "tsv"), Kind.CSV),
    **dict.fromkeys(("json", "jsonl", "ndjson", "geojson", "ipynb"), Kind.JSON),
    **dict.fromkeys(("docx", "docm", "dotx"), Kind.DOCX),
    **dict.fromkeys(("pptx", "pptm", "ppsx"), Kind.PPTX),
    **dict.fromkeys(("xlsx", "xlsm", "xlsb", "xls", "ods"), Kind.SHEET),
    "pdf": Kind.PDF,
    "epub": Kind.EPUB,
}
_BY_MEDIA_TYPE = {
    "text/html": Kind.HTML,
    "application/xhtml+xml": Kind.HTML,
    "text/markdown": Kind.MARKDOWN,
    "text/x-markdown": Kind.MARKDOWN,
    "text/csv": Kind.CSV,
    "text/tab-separated-values": Kind.CSV,
    "application/json": Kind.JSON,
    "application/x-ndjson": Kind.JSON,
    "application/pdf": Kind.PDF,
    "application/epub+zip": Kind.EPUB,
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": Kind.DOCX,
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": Kind.PPTX,
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": Kind.SHEET,
    "application/vnd.ms-excel": Kind.SHEET,
    "application/vnd.oasis.opendocument.spreadsheet": Kind.SHEET,
}
_MEDIA_MARKS = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"RIFF", b"OggS", b"fLaC", b"ID3", b"\x1aE\xdf\xa3", b"II*\x00", b"MM\x00*")
_BY_MARK = {
    **dict.fromkeys((b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a", b"BZh9", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"), Kind.ARCHIVE),
    **dict.fromkeys((b"\x7fELF", b"SQLite format 3\x00", b"{\\rtf", b"\xca\xfe\xba\xbe"), Kind.BINARY),
}
_MARKS = tuple(_BY_MARK)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_ZIPPED = (Kind.DOCX, Kind.PPTX, Kind.SHEET, Kind.EPUB)
_TEXTUAL = (Kind.HTML, Kind.MARKDOWN, Kind.TEXT, Kind.CSV, Kind.JSON)
_HTML_START = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]{0,200}>\s*)?(?:<!--.{0,2000}?-->\s*)?<(?:!doctype\s+html|html|head|body)[\s>]", re.IGNORECASE | re.DOTALL
)
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\x0b\x0c\r\x1b\x08")) + b"\x7f"
_SAMPLE = 65_536


def decide_kind(content: bytes, filename: str | None, media_type: str | None) -> Kind:
    """The kind of some bytes. Bytes that are surely of one kind decide whatever the labels say; labels tell the kinds of text apart."""
    labelled = _label(filename, media_type)
    sure = _from_bytes(content, labelled)
    if sure is not None:
        return sure
    if not content.strip():
        # Nothing in it: an empty text file is an empty row, but an empty PDF is a damaged PDF.
        return labelled or Kind.TEXT
    if looks_binary(content):
        return labelled if labelled is not None and labelled not in _TEXTUAL else Kind.BINARY
    if labelled is None or labelled is Kind.TEXT:
        return Kind.HTML if _HTML_START.match(content[:4096]) else Kind.TEXT
    return labelled


def charset_of(media_type: str | None) -> str | None:
    """The `charset` parameter of a media type, if there is one."""
    match = re.search(r"""charset\s*=\s*["']?([^\s"';]{1,40})""", media_type or "", re.IGNORECASE)
    return match[1] if match else None


def looks_binary(content: bytes) -> bool:
    """Whether bytes are no text in any encoding: zeros outside UTF-16 and UTF-32, or control characters all over."""
    sample = content[:_SAMPLE]
    if sample.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")) or guess_utf16(sample):
        return False
    if sample.count(0) * 500 > len(sample):
        return True
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    return controls * 20 > len(sample)


def _label(filename: str | None, media_type: str | None) -> Kind | None:
    """What the labels say: a media type that says something, else the name."""
    kind = _BY_MEDIA_TYPE.get((media_type or "").partition(";")[0].strip().lower())
    if kind is not None:
        return kind
    _, ending = splitext((filename or "").replace("\\", "/"))
    return _BY_SUFFIX.get(ending[1:].lower())


def _from_bytes(content: bytes, labelled: Kind | None) -> Kind | None:
    """The kind that the first bytes prove, None where they prove nothing."""
    if content.startswith(b"%PDF-") or (labelled is Kind.PDF and b"%PDF-" in content[:1024]):
        return Kind.PDF
    if content.startswith(_ZIP):
        return _inside_zip(content, labelled)
    if content.startswith(_OLE):
        return _inside_ole(content)
    if (content.startswith(_MEDIA_MARKS) or content[4:8] == b"ftyp") and looks_binary(content):
        return Kind.MEDIA
    if content.startswith(_MARKS):
        return next(kind for mark, kind in _BY_MARK.items() if content.startswith(mark))
    return None


def _inside_zip(content: bytes, labelled: Kind | None) -> Kind:
    """What a ZIP container holds; one that is damaged is what its labels say."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        return labelled if labelled in _ZIPPED else Kind.ARCHIVE
    if "META-INF/container.xml" in names:
        return Kind.EPUB
    if "[Content_Types].xml" in names:
        for folder, kind in (("word/", Kind.DOCX), ("ppt/", Kind.PPTX), ("xl/", Kind.SHEET)):
            if any(name.startswith(folder) for name in names):
                return kind
    if "content.xml" in names and labelled is Kind.SHEET:
        return Kind.SHEET
    return Kind.ARCHIVE


def _inside_ole(content: bytes) -> Kind:
    """What an OLE container holds, by the names of its streams (UTF-16, MS-CFB 2.6.1)."""

    def has(name: str) -> bool:
        return name.encode("utf-16-le") + b"\x00\x00" in content

    if has("EncryptedPackage"):
        return Kind.LOCKED_OFFICE
    return Kind.SHEET if has("Workbook") or has("Book") else Kind.OLD_OFFICE
