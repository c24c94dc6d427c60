"""What a file is, is decided by its bytes first, then by its labels; and never by a crash."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pure.text_samples import make_docx, make_epub, make_pdf, make_pptx, make_xlsx, make_zip
from tidings.text.kinds import Kind, charset_of, decide_kind

NAMES = st.one_of(st.none(), st.text(max_size=20), st.sampled_from(["a.md", "b.PDF", "c.html", "d.docx", "e.csv", ".json", "f.tar.gz", "g.xls", "\x00.md"]))
MEDIA = st.one_of(
    st.none(), st.text(max_size=20), st.sampled_from(["text/html; charset=utf-8", "application/pdf", "binary/octet-stream", "TEXT/CSV", "text/plain"])
)


@given(st.binary(max_size=400), NAMES, MEDIA)
def test_any_bytes_under_any_labels_are_of_some_kind(content: bytes, filename: str | None, media_type: str | None) -> None:
    assert isinstance(decide_kind(content, filename, media_type), Kind)


@given(NAMES, MEDIA)
def test_bytes_that_are_surely_something_are_that_whatever_the_labels_say(filename: str | None, media_type: str | None) -> None:
    for content, kind in (
        (make_pdf([["x"]]), Kind.PDF),
        (make_epub("t", ["<p>x</p>"]), Kind.EPUB),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), Kind.MEDIA),
        (b"\x1f\x8b\x08" + bytes(50), Kind.ARCHIVE),
        (b"\x7fELF" + bytes(50), Kind.BINARY),
    ):
        assert decide_kind(content, filename, media_type) is kind


def test_office_files_are_told_apart_by_what_is_inside() -> None:
    assert decide_kind(make_docx("t", {"h": "x"}), None, None) is Kind.DOCX
    assert decide_kind(make_pptx([("t", "x", "n")]), "wrong.docx", None) is Kind.PPTX
    assert decide_kind(make_xlsx({"s": [["x"]]}), None, "application/octet-stream") is Kind.SHEET
    assert decide_kind(make_zip({"a.txt": b"x"}), "a.docx", None) is Kind.ARCHIVE
    assert decide_kind(make_docx("t", {"h": "x"})[:900], "cut.docx", None) is Kind.DOCX


@pytest.mark.parametrize(
    ("content", "filename", "media_type", "kind"),
    [
        (b"# Hi\n", "a.md", None, Kind.MARKDOWN),
        (b"# Hi\n", "a.md", "text/plain", Kind.MARKDOWN),
        (b"# Hi\n", "a.php", "text/markdown; charset=utf-8", Kind.MARKDOWN),
        (b"<p>Hi", "page.php", "text/html", Kind.HTML),
        (b"\xef\xbb\xbf <!DOCTYPE html><p>Hi", None, None, Kind.HTML),
        (b"<!-- made by hand --><html lang=en>", "page", "text/plain", Kind.HTML),
        (b"print('<html>')", "a.py", None, Kind.TEXT),
        (b"a,b\n1,2\n", "x/y.CSV", None, Kind.CSV),
        (b"{}", "a.json", None, Kind.JSON),
        (b"", "a.md", None, Kind.MARKDOWN),
        (b" \n", None, None, Kind.TEXT),
        (b"", "a.pdf", None, Kind.PDF),
        ("Größe".encode("utf-16"), "a.txt", None, Kind.TEXT),
        ("only ascii, but wide".encode("utf-16-le"), "a.txt", None, Kind.TEXT),
        (b"RIFF is a word, and this is text about it\n", "a.txt", None, Kind.TEXT),
        (b"\x00\x01\x02\x03" * 50, "a.txt", None, Kind.BINARY),
        (b"\x00\x01\x02\x03" * 50, "a.pdf", None, Kind.PDF),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(64) + "EncryptedPackage\x00".encode("utf-16-le"), "a.docx", None, Kind.LOCKED_OFFICE),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(64) + "Workbook\x00".encode("utf-16-le"), None, None, Kind.SHEET),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(64) + "WordDocument\x00".encode("utf-16-le"), "a.doc", None, Kind.OLD_OFFICE),
    ],
)
def test_labels_and_first_bytes(content: bytes, filename: str | None, media_type: str | None, kind: Kind) -> None:
    assert decide_kind(content, filename, media_type) is kind


def test_the_charset_of_a_media_type() -> None:
    assert charset_of('text/html; Charset = "ISO-8859-1"; x=y') == "ISO-8859-1"
    assert charset_of("text/html") is None
    assert charset_of(None) is None
