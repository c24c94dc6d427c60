"""The way of one row: bytes, kind, text, documents."""

from tidings.errors import RowNotRead
from tidings.text.chunk import make_documents
from tidings.text.decode import clean, decode
from tidings.text.documents import Extracted, Source, hash_text
from tidings.text.html import read_html
from tidings.text.kinds import Kind, charset_of, decide_kind
from tidings.text.markdown import read_markdown
from tidings.text.parts import MAX_CHARACTERS, TOO_LONG, Draft
from tidings.text.records import read_csv, read_json

_REFUSED = {
    Kind.LOCKED_OFFICE: "This file is protected by a password: remove the password and replace the file.",
    Kind.OLD_OFFICE: "This file is in an Office format from before 2007: save it as DOCX or PPTX and replace it.",
    Kind.ARCHIVE: "This file is an archive: unpack it and add the files that are in it.",
    Kind.MEDIA: "This file is an image, sound or video: there is no text in it to read.",
    Kind.BINARY: "This file is binary, of a kind that is not supported: save it as text, PDF or DOCX.",
}
_AS_THEY_ARE = {Kind.MARKDOWN, Kind.TEXT}  # of these, what is read is what was cleaned; what others spell as an entity or escape is not
_MAX_TITLE = 300


def extract_source(source: Source) -> Extracted:
    """The title and the documents of one row. RowNotRead, with a sentence for the row's owner, where it has no text that can be read.

    The title is the document's own, else the source's, else None.
    """
    kind = decide_kind(source.content, source.filename, source.media_type)
    if kind in _REFUSED:
        raise RowNotRead(_REFUSED[kind])
    try:
        draft = _read(kind, source)
    except RowNotRead:
        raise
    except MemoryError as error:
        raise RowNotRead(f"This {kind.value} needs more memory than one file may take: split it into smaller files.") from error
    except Exception as error:  # foreign parsers raise whatever they like on damaged input; here it becomes the row's failure
        raise RowNotRead(f"This {kind.value} could not be read, it may be damaged ({_cause(error)}): save it again and replace it.") from error
    if len(draft.text) > MAX_CHARACTERS:
        raise RowNotRead(TOO_LONG)
    documents = make_documents(draft.text if kind in _AS_THEY_ARE else clean(draft.text), markdown=draft.markdown)
    title = _tidy_title(draft.title) or _tidy_title(source.title)
    return Extracted(title, documents, hash_text(title, documents))


def _read(kind: Kind, source: Source) -> Draft:
    """The text of a source of a kind that is read. The libraries for PDF and Office files are loaded when the first one comes:
    most installations never see some of them, and they cost memory in every process.
    """
    match kind:
        case Kind.PDF:
            from tidings.text.pdf import read_pdf  # noqa: PLC0415

            return read_pdf(source.content)
        case Kind.DOCX:
            from tidings.text.office import read_docx  # noqa: PLC0415

            return read_docx(source.content)
        case Kind.PPTX:
            from tidings.text.office import read_pptx  # noqa: PLC0415

            return read_pptx(source.content)
        case Kind.SHEET:
            from tidings.text.sheets import read_sheets  # noqa: PLC0415

            return read_sheets(source.content)
        case Kind.EPUB:
            from tidings.text.epub import read_epub  # noqa: PLC0415

            return read_epub(source.content)
        case _:
            return _read_text(kind, clean(decode(source.content, charset_of(source.media_type))), source)


def _read_text(kind: Kind, text: str, source: Source) -> Draft:
    match kind:
        case Kind.HTML:
            return read_html(text, source.url, select=source.select, remove=source.remove)
        case Kind.MARKDOWN:
            return read_markdown(text)
        case Kind.CSV:
            return read_csv(text)
        case Kind.JSON:
            return read_json(text)
        case _:
            return Draft(text)


def _tidy_title(title: str | None) -> str | None:
    return " ".join(clean(title or "").split())[:_MAX_TITLE].strip() or None


def _cause(error: Exception) -> str:
    said = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
