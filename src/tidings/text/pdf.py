"""PDF, page by page, with pdfium."""

import re

from pypdfium2 import PdfDocument, PdfiumError, raw

from tidings.errors import RowNotRead
from tidings.text.parts import Draft, join_lines

# pdfium marks a word that is divided at the end of a line with one of these; the word goes on behind it.
_DIVIDED = re.compile("[\ufffe\x02][\r\n]*")


def read_pdf(content: bytes) -> Draft:
    """The text of all pages. One without any text, or with a password, is not read."""
    try:
        pdf = PdfDocument(content)
    except PdfiumError as error:
        raise RowNotRead(_why_not_opened(content)) from error
    try:
        pages = len(pdf)
        text = join_lines(f"{_read_page(pdf, number)}\n" for number in range(pages))
        title = pdf.get_metadata_value("Title").strip()
    finally:
        pdf.close()
    if not text.strip():
        raise RowNotRead(
            f"This PDF has {pages} page{'' if pages == 1 else 's'} and no text: if it is a scan, run text recognition (OCR) on it and replace the file."
        )
    return Draft(text, title)


def _why_not_opened(content: bytes) -> str:
    """The library takes a PDF without pages for one that it can't open, and then tells what was wrong with an earlier one."""
    opened = raw.FPDF_LoadMemDocument64(content, len(content), None)
    if opened:
        raw.FPDF_CloseDocument(opened)
        return "This PDF has no pages: save it again and replace it, or leave it out."
    if raw.FPDF_GetLastError() in {raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY}:
        return "This PDF is protected by a password: remove the password and replace the file."
    return "This PDF is damaged or was cut off: save it again and replace it."


def _read_page(pdf: PdfDocument, number: int) -> str:
    """The text of a page, "" for one that is damaged: the others are still worth having."""
    try:
        page = pdf[number]
        words = page.get_textpage()
        text: str = words.get_text_range()
        words.close()
        page.close()
    except PdfiumError:
        return ""
    return _DIVIDED.sub("", text).strip()
