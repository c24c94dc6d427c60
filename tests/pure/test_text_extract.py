"""Real files of every kind become their words, their title and their headings; damaged and hostile ones a sentence."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.pure.text_samples import all_text, extract, make_bomb, make_docx, make_epub, make_locked_zip, make_pdf, make_pptx, make_xlsx, make_zip, name, refusal
from tidings.errors import RowNotRead
from tidings.text.documents import Extracted
from tidings.text.version import PIPELINE_VERSION


def read_or_refuse(content: bytes, filename: str) -> Extracted | RowNotRead:
    try:
        return extract(content, filename)
    except RowNotRead as refused:
        return refused


def test_markdown_keeps_its_text_and_gives_its_title() -> None:
    title, word = name(), name()
    extracted = extract(f"---\r\nlayout: page\r\ntitle: '{title}'\r\n---\r\n\r\n# Top\r\n\r\nSome *{word}* here.\r\n".encode(), "a.md")
    assert extracted.title == title
    assert all_text(extracted) == f"# Top\n\nSome *{word}* here."
    assert extract(f"intro\n\n## Sub\n\n# {title} #\n".encode(), "a.md").title == title
    assert extract(f"## {title}\n".encode(), "a.md").title == title
    assert extract(f'+++\ntitle = "{title}"\n+++\ntext'.encode(), "a.md").title == title
    assert all_text(extract(b"---\njust prose\n---\n", "a.md")).startswith("---\njust prose")


def test_html_becomes_markdown_of_its_main_content() -> None:
    title, word = name(), name()
    page = f"""<!doctype html><html><head><title>{title} &amp; co</title><style>p {{}}</style></head><body>
    <nav><a href=/>Home of everything</a></nav><main><h1>Guide</h1><p>{word} is <b>bold</b>, see <a href="/next">there</a>.</p>
    <h2>Code</h2><pre><code>def f():\n    return 1\n</code></pre><table><tr><th>Name</th></tr><tr><td>Ada</td></tr></table>
    <ul><li>one</li><li>two</li></ul><script>alert("never")</script><p>{"and more words of it " * 20}</p></main>
    <footer>Copyright nobody</footer></body></html>"""
    extracted = extract(page.encode(), None, "text/html", url="https://example.org/docs/")
    text = all_text(extracted)
    assert extracted.title == f"{title} & co"
    assert "# Guide" in text
    assert f"{word} is **bold**, see [there](https://example.org/next)." in text
    assert "    return 1" in text
    assert "| Ada |" in text
    assert "- two" in text
    assert not any(part in text for part in ("Home of", "Copyright", "alert", "p {"))
    assert extracted.documents[0].heading == "Guide"


def test_html_without_landmarks_loses_what_stands_around_its_content() -> None:
    words = [name() for _ in range(400)]
    around = "".join(f'<div class="menu"><a href="/{word}">{word}</a></div>' for word in words[:150])
    prose = "".join(f"<p>{' '.join(words[start : start + 25])}, as was said before, and so it goes on.</p>" for start in range(150, 400, 25))
    extracted = extract(f"<html><body><div id=menu>{around}</div><div><h1>Top</h1>{prose}</div></body></html>".encode(), "a.html")
    text = all_text(extracted)
    assert all(word in text for word in words[150:])
    assert sum(word in text for word in words[:150]) < 15
    assert extracted.title == "Top"


def test_a_short_page_is_taken_whole() -> None:
    assert all_text(extract(b"<html><body><p>Closed on Mondays.</p></body></html>", "a.html")) == "Closed on Mondays."


def test_plain_text_stays_as_it_is() -> None:
    text = f"# not a heading in plain text\n\n{name()}\n    indented"
    extracted = extract(text.encode(), "notes.txt")
    assert all_text(extracted) == text
    assert extracted.title is None
    assert extracted.documents[0].heading == ""
    assert extract(text.encode(), "notes.txt", title="From the source").title == "From the source"


def test_spreadsheets_say_what_each_cell_is() -> None:
    who, where = name(), name()
    extracted = extract(make_xlsx({"People": [["Name", "City", "Age"], [who, "", 36], [], ["Bob", where, 1.5]], "Numbers": [[1, 2], [3, True]]}), "a.xlsx")
    assert all_text(extracted) == f"## People\n\nName; City; Age\nName: {who}; Age: 36\nName: Bob; City: {where}; Age: 1.5\n\n## Numbers\n\n1; 2\n3; true"
    assert extracted.documents[0].heading == "People"


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_csv_with_any_delimiter(mark: str) -> None:
    who = name()
    rows = f'Name{mark}Note\n{who}{mark}"one{mark} two\nthree ""four"""\n\nBob{mark}\n'
    lines = [line.split() for line in all_text(extract(rows.encode(), "a.csv")).split("\n")]
    assert lines == [["Name;", "Note"], ["Name:", f"{who};", "Note:", *f"one{mark} two three".split(), '"four"'], ["Name:", "Bob"]]


def test_json_says_the_path_of_each_value() -> None:
    who = name()
    value = {"title": who, "items": [{"n": 1, "ok": True, "none": None}, {"tags": ["a", "b"], "empty": []}], "note": "bad\x00\ud800char"}
    extracted = extract(json.dumps(value).encode(), "a.json")
    assert all_text(extracted) == f"title: {who}\nitems[0].n: 1\nitems[0].ok: true\nitems[1].tags: a, b\nnote: badchar"
    assert extracted.title == who
    assert all_text(extract(b'{"a": 1}\n{"a": 2}\n', "a.jsonl")) == "a: 1\n\na: 2"
    assert all_text(extract(b"{not json", "a.json")) == "{not json"


def test_epub_in_reading_order() -> None:
    title, first, second = name(), name(), name()
    book = make_epub(title, [f"<h1>One</h1><nav>kept</nav><p>{first}</p>", f"<h1>Two</h1><p>{second}</p>"])
    extracted = extract(book, "a.epub")
    text = all_text(extracted)
    assert extracted.title == title
    assert text.index("# One") < text.index("kept") < text.index(first) < text.index("# Two") < text.index(second)


def test_a_protected_book_is_not_read() -> None:
    methods = '<encryption xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptionMethod Algorithm="{}"/></encryption>'
    protected = {"META-INF/encryption.xml": methods.format("http://www.w3.org/2001/04/xmlenc#aes128-cbc").encode()}
    fonts_only = {"META-INF/encryption.xml": methods.format("http://www.idpf.org/2008/embedding").encode()}
    assert "protected against copying" in refusal(make_epub("t", ["<p>x</p>"], extra=protected), "a.epub")
    assert all_text(extract(make_epub("t", ["<p>word</p>"], extra=fonts_only), "a.epub")) == "word"


@pytest.mark.parametrize("filename", ["a.md", "a.txt", "a.html", "a.csv", "a.json", None])
def test_an_empty_text_file_is_a_row_without_documents(filename: str | None) -> None:
    for content in (b"", b" \n\t\n", b"\xef\xbb\xbf"):
        extracted = extract(content, filename)
        assert extracted.documents == ()
        assert extracted.title is None


def test_the_hash_follows_what_a_reader_sees() -> None:
    text = f"# {name()}\n\n{name()}\n".encode()
    assert extract(text, "a.md").text_hash == extract(text.replace(b"\n", b"\r\n"), "b.markdown").text_hash
    assert extract(text, "a.md").text_hash != extract(text + b"x", "a.md").text_hash
    assert extract(text, "a.md").text_hash != extract(b"---\ntitle: other\n---\n" + text, "a.md").text_hash
    assert "semantic-text-splitter" in PIPELINE_VERSION


@pytest.mark.parametrize(
    ("content", "filename", "says"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "a.png", "image"),
        (b"\x1f\x8b\x08" + bytes(200), "a.tar.gz", "unpack"),
        (bytes(range(256)) * 20, "a.bin", "binary"),
        (b"{\\rtf1 hello}", "a.rtf", "not supported"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "a.doc", "before 2007"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(64) + "EncryptedPackage\x00".encode("utf-16-le"), "a.docx", "remove the password"),
        (make_zip({"readme.txt": b"x"}), "a.zip", "unpack"),
        (make_locked_zip(make_docx("t", {"h": "x"})), "a.docx", "remove the password"),
        (make_docx("t", {"h": "x"})[:3000], "a.docx", "damaged"),
        (make_pptx([("t", "x", "")])[:3000], "a.pptx", "damaged"),
        (make_xlsx({"s": [["x"]]})[:2000], "a.xlsx", "damaged"),
        (make_epub("t", ["<p>x</p>"])[:300], "a.epub", "damaged"),
        (make_zip({"META-INF/container.xml": b"<nothing/>"}), "a.epub", "damaged"),
        (make_zip({"META-INF/container.xml": b""}), "a.epub", "damaged"),
        (make_zip({"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<w/>"}), "a.docx", "damaged"),
        (make_zip({"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": b"<w"}), "a.xlsx", "damaged"),
        (make_bomb("word/document.xml", 300), "a.docx", "unpacks to more"),
        (make_bomb("ppt/presentation.xml", 300), "a.pptx", "unpacks to more"),
        (make_bomb("xl/workbook.xml", 300), "a.xlsx", "unpacks to more"),
        (make_zip({f"word/{number}": b"" for number in range(20_001)} | {"[Content_Types].xml": b""}), "a.docx", "parts"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_read_says_why_and_what_to_do(content: bytes, filename: str, says: str) -> None:
    assert says in refusal(content, filename)


def test_entities_in_xml_are_not_expanded_and_files_not_fetched() -> None:
    laughs = '<?xml version="1.0"?><!DOCTYPE p [<!ENTITY a "ha"><!ENTITY b "&a;&a;"><!ENTITY f SYSTEM "file:///etc/passwd">]>'
    package = laughs + '<package><metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>&b;&f;x</dc:title></metadata></package>'
    extracted = extract(make_epub("t", ["<p>word</p>"], extra={"OEBPS/book.opf": package.encode()}), "a.epub")
    assert "root:" not in (extracted.title or "")
    assert extracted.documents == ()


@pytest.mark.parametrize(
    ("content", "filename"),
    [
        (b"<div>" * 5_000 + b"deep words" + b"</div>" * 5_000, "a.html"),
        (b"<html><body>" + b"<b><i>" * 3_000 + b"deep words", "a.html"),
        (b"deep words <!-- x" + b"<script>" * 100_000, "a.html"),
        (b"deep words" + b"<!--" * 100_000, "a.html"),
        (b"[" * 100_000 + b'"deep words"' + b"]" * 100_000, "a.json"),
        (b'{"a":' * 900 + b'"deep words"' + b"}" * 900, "a.json"),
        (b"> " * 5_000 + b"deep words", "a.md"),
        (b"# " + b"deep words " * 2_000, "a.md"),
        (b"deep words," * 20_000, "a.csv"),
        (b'"' + b"deep words" * 20_000, "a.csv"),
        (b"a,b\n" + b'"deep words\n' * 3_000, "a.csv"),
    ],
)
def test_deep_and_long_things_are_read_all_the_same(content: bytes, filename: str) -> None:
    assert "deep words" in all_text(extract(content, filename)).replace("\n", " ")


FILES = {
    "a.docx": make_docx("title", {"head": "text"}, [["a", "b"]]),
    "a.pptx": make_pptx([("title", "text", "notes")]),
    "a.xlsx": make_xlsx({"sheet": [["a", 1]]}),
    "a.pdf": make_pdf([["text of a page"]]),
    "a.epub": make_epub("title", ["<p>text</p>"]),
    "a.html": b"<html><head><title>x</title></head><body><main><p>text</p></main></body></html>",
    "a.md": b"---\ntitle: x\n---\n# head\n\n```\ncode\n```\n",
    "a.json": b'{"a": [1, {"b": "c"}]}',
    "a.csv": b'a,b\n1,"2"\n',
}


@given(st.sampled_from(sorted(FILES)), st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_damaged_files_are_read_or_refused_but_nothing_else(filename: str, data: st.DataObject) -> None:
    content = bytearray(FILES[filename])
    for _ in range(data.draw(st.integers(1, 8))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position : position + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
        content = content or bytearray(b"x")
    result = read_or_refuse(bytes(content), filename)
    if isinstance(result, RowNotRead):
        assert str(result).endswith(".")
        return
    for document in result.documents:
        document.text.encode("utf-8")
        assert "\x00" not in document.text


@given(st.binary(max_size=600), st.sampled_from([*FILES, "a.xls", "a.ods", "a.txt", ""]))
@settings(max_examples=150)
def test_random_bytes_are_read_or_refused_but_nothing_else(content: bytes, filename: str) -> None:
    result = read_or_refuse(content, filename)
    assert isinstance(result, Extracted) or str(result).endswith(".")


def test_what_is_selected_is_the_content_and_what_is_removed_is_not() -> None:
    words = [name() for _ in range(6)]
    menu, one, two, inner, three, four = words
    body = (
        f"<html><head><title>T</title></head><body><nav>{menu}</nav><div class=text>{one}<b class=text>{two}</b><script>{inner}</script></div><p>{three}</p>"
        f"<div class=ad>{four}</div></body></html>"
    ).encode()

    def found(**more: Any) -> list[str]:
        text = all_text(extract(body, media_type="text/html", **more))
        return [word for word in words if word in text]

    assert found() == [one, two, three, four]
    assert found(remove=(".ad", "p")) == [one, two]
    assert found(select=(".text",)) == [one, two]
    assert all_text(extract(body, media_type="text/html", select=(".text",))).count(two) == 1  # an element within another comes once
    assert found(select=(".ad", "nav", "p"), remove=("p",)) == [menu, four]
    with pytest.raises(RowNotRead, match="Nothing on this page is matched by `select`"):
        extract(body, media_type="text/html", select=(".none",))


@pytest.mark.parametrize(
    ("body", "needs"),
    [
        ('<div id="root"></div><script src="a.js"></script>', True),
        ("<p>Loading</p><noscript>You need to enable JavaScript to run this app.</noscript><script src=a.js></script>", True),
        ("<div><span> </span></div><script>render()</script>", True),
        ("<p>A short page.</p><script src=figures.js></script>", False),
        ('<div id="root"><p>Made on the server.</p></div><script src="a.js"></script>', False),
        ('<div id="root"></div><script src="a.js"></script><p>' + "Long enough. " * 30 + "</p>", False),
        ("", False),
    ],
)
def test_a_page_that_shows_nothing_without_javascript_says_so(body: str, needs: bool) -> None:  # noqa: FBT001 - a table
    content = f"<!doctype html><html><head><title>T</title></head><body>{body}</body></html>".encode()
    if needs:
        with pytest.raises(RowNotRead, match="before its JavaScript has run"):
            extract(content, media_type="text/html")
    else:
        assert extract(content, media_type="text/html").title == "T"
