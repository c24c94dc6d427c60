"""PDFs, Word documents and presentations become their words in the order in which people read them."""

import io

import docx
from docx.oxml import parse_xml
from docx.oxml.ns import nsmap

from tests.pure.text_samples import all_text, extract, make_docx, make_locked_pdf, make_pdf, make_pptx, make_raw_pdf, make_restricted_pdf, name, refusal
from tidings.text.tokens import count_tokens


def test_pdf() -> None:
    words = [name() for _ in range(6)]
    extracted = extract(make_pdf([[f"{words[0]} first", words[1]], [], [words[2]]]), "a.pdf")
    text = all_text(extracted)
    assert [text.index(word) for word in words[:3]] == sorted(text.index(word) for word in words[:3])
    assert extracted.documents[0].tokens == count_tokens(extracted.documents[0].text)


def test_pdf_without_text_or_with_a_password_is_not_read() -> None:
    assert "2 pages and no text" in refusal(make_pdf([[], []]), "scan.pdf")
    assert "remove the password" in refusal(make_locked_pdf(), "secret.pdf")
    assert "damaged" in refusal(make_pdf([["x" * 500]])[:300], "cut.pdf")
    assert "damaged" in refusal(b"", "empty.pdf")


def test_a_pdf_that_everybody_may_open_and_not_everybody_change_is_read() -> None:
    word = name()
    assert all_text(extract(make_restricted_pdf(word), "a.pdf")) == word


def test_a_pdf_without_pages_says_so_whatever_came_before_it() -> None:
    """The library has but one place for what went wrong, and leaves it alone here."""
    catalogue, tree = b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [] /Count 0 >>"
    for before in (make_locked_pdf(), b"%PDF-1.4\n"):
        refusal(before, "before.pdf")
        assert "no pages" in refusal(make_raw_pdf(catalogue, tree), "a.pdf")


def test_a_pdf_whose_pages_go_in_a_circle_is_read_once() -> None:
    word = name()
    content = b"BT /F1 12 Tf 50 100 Td (%s) Tj ET" % word.encode()
    font = b"<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
    circle = make_raw_pdf(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [2 0 R 3 0 R] /Count 3 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R /Resources %s >>" % font,
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
    )
    assert all_text(extract(circle, "a.pdf")) == word


def test_a_long_docx_is_read_to_its_end() -> None:
    """Each paragraph with a style, of those that there are and one that there is not, is what its style says."""
    document = docx.Document()
    for number in range(400):
        document.add_paragraph(f"Part {number}", ("Heading 2", "List Bullet", "Normal")[number % 3])
    document.paragraphs[2]._p.style = "NoSuchStyle"  # noqa: SLF001 - python-docx refuses to
    document.save(saved := io.BytesIO())
    text = "\n\n".join(one.text for one in extract(saved.getvalue(), "a.docx").documents)
    assert [line for line in text.split("\n") if line][:4] == ["## Part 0", "- Part 1", "Part 2", "## Part 3"]
    assert text.count("## ") == 134
    assert text.count("- Part") == 133


def test_docx_in_document_order() -> None:
    title, first, second, cell = name(), name(), name(), name()
    extracted = extract(make_docx(title, {"Start": first, "Next": second}, [["Name", "City"], [cell, "a|b"]]), "a.docx")
    text = all_text(extracted)
    assert extracted.title == title
    assert f"# Start\n\n{first}\n\n| Name | City |\n| --- | --- |\n| {cell} | a\\|b |" in text
    assert f"## Next\n\n{second}\n\n- an item of a list" in text
    assert extract(make_docx("", {"Start": first}), "a.docx").title == "Start"


def test_a_docx_table_with_a_cell_merged_over_very_many_rows() -> None:
    """Each of its rows says what the cell says; python-docx looks for it above, row by row, and gives up after a thousand."""
    document = docx.Document()
    table = document.add_table(rows=1_500, cols=3)
    for number, row in enumerate(table._tbl.tr_lst):  # noqa: SLF001 - its own way to a row goes through all cells
        row.tc_lst[0].vMerge = "restart" if number == 0 else "continue"
        row.tc_lst[1].p_lst[0].add_r().text = f"row {number}"
    table.cell(0, 0).text = "All of them"
    table._tbl.tr_lst[7].tc_lst[0].vMerge = None  # noqa: SLF001 - as above
    table._tbl.tr_lst[8].tc_lst[0].grid_span = 2  # noqa: SLF001
    document.save(saved := io.BytesIO())
    lines = [line for one in extract(saved.getvalue(), "a.docx").documents for line in one.text.split("\n") if "row" in line]
    assert lines[:2] == ["| All of them | row 0 |  |", "| All of them | row 1 |  |"]
    assert lines[7:10] == ["|  | row 7 |  |", "|  | row 8 |  |", "|  | row 9 |  |"]
    assert len(lines) == 1_500


def test_what_is_wrapped_in_a_docx_is_read_too() -> None:
    """Controls of forms, what was inserted and nobody has accepted yet, tables in tables; not what was deleted, nor a table of contents."""

    def paragraph(inside: str) -> str:
        return f"<w:p>{inside}</w:p>"

    def run(text: str, of: str = "t") -> str:
        return f"<w:r><w:{of}>{text}</w:{of}></w:r>"

    words = [name() for _ in range(8)]
    table = f"<w:tbl><w:sdt><w:sdtContent><w:tr><w:tc>{paragraph(run(words[3]))}</w:tc></w:tr></w:sdtContent></w:sdt></w:tbl>"
    gallery = '<w:sdtPr><w:docPartObj><w:docPartGallery w:val="Table of Contents"/></w:docPartObj></w:sdtPr>'
    body = (
        f"<w:sdt><w:sdtContent>{paragraph(run(words[0]))}</w:sdtContent></w:sdt>"
        + paragraph(f"<w:ins>{run(words[1])}</w:ins><w:del>{run(words[5], 'delText')}</w:del><w:hyperlink>{run(words[2])}</w:hyperlink>")
        + f"<w:tbl><w:tr><w:tc>{table}{paragraph(run(words[4]))}</w:tc></w:tr></w:tbl>"
        + f"<w:sdt>{gallery}<w:sdtContent>{paragraph(run(words[6]))}</w:sdtContent></w:sdt>"
    )
    document = docx.Document()
    wrapped = f'<w:body xmlns:w="{nsmap["w"]}">{body}</w:body>'
    document.element.replace(document.element.body, parse_xml(wrapped))
    document.save(saved := io.BytesIO())
    assert all_text(extract(saved.getvalue(), "a.docx")) == f"{words[0]}\n\n{words[1]}{words[2]}\n\n| {words[3]} {words[4]} |\n| --- |"


def test_pptx_with_its_notes() -> None:
    title, text, notes = name(), name(), name()
    extracted = extract(make_pptx([(title, text, notes), ("Second", "b", "")]), "a.pptx")
    assert all_text(extracted) == f"## {title}\n\n- {text}\n\nNotes: {notes}\n\n## Second\n\n- b"
    assert extracted.title == title
