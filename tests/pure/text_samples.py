"""Files of every kind that Tidings reads, made for real while the tests run, and how tests read them."""

import ctypes
import hashlib
import io
import random
import string
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import docx
import pptx
import pypdfium2
import pytest
import xlsxwriter
from pypdfium2 import raw

from tidings.errors import RowNotRead
from tidings.text.documents import Extracted, Source
from tidings.text.extract import extract_source

PDF_ID = b"0123456789abcdef"


def name() -> str:
    """A word that nothing can know beforehand."""
    return "".join(random.choices(string.ascii_lowercase, k=10))


def extract(content: bytes, filename: str | None = None, media_type: str | None = None, **more: Any) -> Extracted:
    return extract_source(Source(content, filename, media_type, **more))


def all_text(extracted: Extracted) -> str:
    return "\n".join(document.text for document in extracted.documents)


def refusal(content: bytes, filename: str | None = None) -> str:
    with pytest.raises(RowNotRead) as caught:
        extract(content, filename)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert sentence[0].isupper()
    return sentence


def make_docx(title: str, sections: Mapping[str, str], table: Sequence[Sequence[str]] = ()) -> bytes:
    document = docx.Document()
    document.core_properties.title = title
    for number, (heading, text) in enumerate(sections.items()):
        document.add_heading(heading, level=1 if number == 0 else 2)
        document.add_paragraph(text)
        if number == 0 and table:
            grid = document.add_table(rows=len(table), cols=len(table[0]))
            for row, cells in zip(grid.rows, table, strict=True):
                for cell, text_of_cell in zip(row.cells, cells, strict=True):
                    cell.text = text_of_cell
    document.add_paragraph("an item of a list", style="List Bullet")
    return _saved(document)


def make_pptx(slides: Sequence[tuple[str, str, str]]) -> bytes:
    """Slides of (title, text, notes)."""
    presentation = pptx.Presentation()
    for title, text, notes in slides:
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = text
        slide.notes_slide.notes_text_frame.text = notes
    return _saved(presentation)


def make_xlsx(sheets: Mapping[str, Sequence[Sequence[object]]]) -> bytes:
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)
    return buffer.getvalue()


def make_pdf(pages: Sequence[Sequence[str]]) -> bytes:
    """A PDF with these lines on its pages; a page without lines stays blank, as a scan is to who looks for text."""
    pdf = pypdfium2.PdfDocument.new()
    font = raw.FPDFText_LoadStandardFont(pdf.raw, b"Helvetica")
    for lines in pages:
        page = pdf.new_page(595, 842)
        for number, line in enumerate(lines):
            words = raw.FPDFPageObj_CreateTextObj(pdf.raw, font, 11)
            utf16 = (line + "\x00").encode("utf-16-le")
            raw.FPDFText_SetText(words, ctypes.cast(ctypes.create_string_buffer(utf16), ctypes.POINTER(ctypes.c_ushort)))
            raw.FPDFPageObj_Transform(words, 1, 0, 0, 1, 50, 800 - 14 * number)
            raw.FPDFPage_InsertObject(page.raw, words)
        raw.FPDFPage_GenerateContent(page.raw)
        page.close()
    saved = _saved(pdf)
    pdf.close()
    return saved


def make_locked_pdf() -> bytes:
    """A PDF that asks for a password which nobody knows: the check values of its encryption are made up."""
    return make_raw_pdf(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>",
        encryption=b"<< /Filter /Standard /V 1 /R 2 /O <" + b"1f" * 32 + b"> /U <" + b"2e" * 32 + b"> /P -44 >>",
    )


def make_restricted_pdf(text: str) -> bytes:
    """A PDF that everybody may open: only changing it asks for a password (ISO 32000-1, 7.6.3; revision 2, with an empty user password)."""
    padding = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")
    owner = _rc4(hashlib.md5((b"owner" + padding)[:32]).digest()[:5], padding)  # noqa: S324 - so it stands in the norm, here and below
    key = hashlib.md5(padding + owner + (-44).to_bytes(4, "little", signed=True) + PDF_ID).digest()[:5]  # noqa: S324
    content = _rc4(hashlib.md5(key + b"\4\0\0\0\0").digest()[:10], b"BT /F1 12 Tf 50 100 Td (%s) Tj ET" % text.encode())  # noqa: S324
    font = b"<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
    return make_raw_pdf(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R /Resources %s >>" % font,
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        encryption=b"<< /Filter /Standard /V 1 /R 2 /O <%s> /U <%s> /P -44 >>" % (owner.hex().encode(), _rc4(key, padding).hex().encode()),
    )


def make_raw_pdf(*objects: bytes, encryption: bytes | None = None) -> bytes:
    """A PDF of these objects, numbered from 1, the first one its catalogue."""
    out = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate((*objects, *([encryption] if encryption else ())), start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table, size = len(out), len(offsets) + 1
    out += b"xref\n0 %d\n0000000000 65535 f \n" % size + b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    locked = b" /Encrypt %d 0 R /ID [<%s> <%s>]" % (size - 1, PDF_ID.hex().encode(), PDF_ID.hex().encode()) if encryption else b""
    return bytes(out + b"trailer\n<< /Size %d /Root 1 0 R%s >>\nstartxref\n%d\n%%%%EOF\n" % (size, locked, table))


def _rc4(key: bytes, data: bytes) -> bytes:
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out = bytearray()
    i = j = 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


def make_epub(title: str, chapters: Sequence[str], *, extra: Mapping[str, bytes] | None = None) -> bytes:
    """A book whose chapters stand in its archive in the opposite of their reading order."""
    items = "".join(f'<item id="c{number}" href="text/c%20{number}.xhtml" media-type="application/xhtml+xml"/>' for number in range(len(chapters)))
    spine = "".join(f'<itemref idref="c{number}"/>' for number in range(len(chapters)))
    package = (
        '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
        f'<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title></metadata>'
        f"<manifest>{items}</manifest><spine>{spine}</spine></package>"
    )
    container = (
        '<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    members = {"mimetype": b"application/epub+zip", "META-INF/container.xml": container.encode(), "OEBPS/book.opf": package.encode()}
    for number, chapter in reversed(list(enumerate(chapters))):
        members[f"OEBPS/text/c {number}.xhtml"] = f"<html><body>{chapter}</body></html>".encode()
    return make_zip(members | dict(extra or {}))


def make_zip(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def make_locked_zip(content: bytes) -> bytes:
    """The same archive with the encryption flag set on each member, in its directory and in front of it (APPNOTE 4.4.4)."""
    changed = bytearray(content)
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        position = changed.find(signature)
        while position >= 0:
            changed[position + flags] |= 1
            position = changed.find(signature, position + 4)
    return bytes(changed)


def make_bomb(name: str, megabytes: int) -> bytes:
    """An Office file of a few hundred KB whose main part unpacks to `megabytes`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        with archive.open(name, "w", force_zip64=True) as part:
            for _ in range(megabytes):
                part.write(b" " * (1024 * 1024))
    return buffer.getvalue()


def _saved(document: object) -> bytes:
    buffer = io.BytesIO()
    document.save(buffer)  # type: ignore[attr-defined]
    return buffer.getvalue()
