"""What becomes of each type of block and property that Notion's documentation names, and of those that it may name one day."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.connectors.notion_server import id_of, text
from tidings.connectors.notion_markdown import Block, property_text, title_of, to_markdown
from tidings.connectors.notion_tree import Parent, Tree, parent_of

PAGE = id_of("another page")
PLAIN = PAGE.replace("-", "")
HOSTED: dict[str, Any] = {"type": "file", "file": {"url": "https://prod-files-secure.s3.us-west-2.amazonaws.com/a.png?X-Amz-Signature=secret"}}


def block(kind: str, *children: Block, missing: bool = False, **content: Any) -> Block:
    said = {member: [text(value)] if member in {"rich_text", "caption", "title"} and isinstance(value, str) else value for member, value in content.items()}
    return Block(PAGE, kind, said, children, missing)


def said(kind: str, words: str, *children: Block, **content: Any) -> Block:
    return block(kind, *children, rich_text=words, **content)


def numbered(words: str, *children: Block) -> Block:
    return said("numbered_list_item", words, *children)


def row(*cells: str) -> Block:
    return block("table_row", cells=[[text(cell)] for cell in cells])


def child(kind: str, title: str) -> Block:
    return Block(PAGE, kind, {"title": title})


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([said("paragraph", "One."), said("paragraph", ""), said("paragraph", "Two.", said("paragraph", "Below."))], "One.\n\nTwo.\n\nBelow."),
        ([said(f"heading_{n}", "Title\nof it") for n in (1, 2, 3, 4)], "# Title of it\n\n## Title of it\n\n### Title of it\n\n#### Title of it"),
        ([said("heading_2", "Toggle", said("paragraph", "Inside"), is_toggleable=True)], "## Toggle\n\nInside"),
        (
            [said("bulleted_list_item", "a", said("bulleted_list_item", "b", said("bulleted_list_item", "c"))), said("bulleted_list_item", "two\nlines")],
            "- a\n  - b\n    - c\n- two\n  lines",
        ),
        (
            [numbered("a", numbered("b")), numbered("c"), said("paragraph", "-"), numbered("d")],
            "1. a\n   1. b\n2. c\n\n-\n\n1. d",
        ),
        ([said("to_do", "open", checked=False), said("to_do", "done", said("paragraph", "how"), checked=True)], "- [ ] open\n- [x] done\n  how"),
        ([said("toggle", "Asked", said("paragraph", "Answer")), said("template", "Button", said("to_do", "new"))], "Asked\n\nAnswer\n\nButton\n\n- [ ] new"),
        ([said("quote", "Said\nso", said("paragraph", "by her"))], "> Said\n> so\n>\n> by her"),
        ([said("callout", "Mind", said("bulleted_list_item", "this"), icon={"type": "emoji", "emoji": "!"})], "> Mind\n>\n> - this"),
        ([said("code", "a = `b`\n", language="python", caption="The *code*")], "```python\na = `b`\n\n```\n\nThe *code*"),
        ([said("code", "```\nx\n```", language="plain text")], "````\n```\nx\n```\n````"),
        ([block("equation", expression="e=mc^2")], "$$\ne=mc^2\n$$"),
        ([block("image", type="external", external={"url": "https://x.example/a.png"}, caption="A view")], "[A view](https://x.example/a.png)"),
        ([block(kind, caption=[], **HOSTED) for kind in ("image", "video", "audio", "pdf")], "[Image]\n\n[Video]\n\n[Audio]\n\n[PDF]"),
        ([block("file", caption=[], name="plan.docx", **HOSTED)], "[File: plan.docx]"),
        ([block("bookmark", url="https://x.example/", caption="Look"), block("embed", url="https://y.example/", caption=[])], "[Look](https://x.example/)\n\n[https://y.example/](https://y.example/)"),
        ([block("link_preview", url="https://z.example/")], "[https://z.example/](https://z.example/)"),
        ([block("link_to_page", type="page_id", page_id=PAGE)], f"[Another page](https://www.notion.so/{PLAIN})"),
        ([child("child_page", "Below"), child("child_database", "Rows")], f"[Below](https://www.notion.so/{PLAIN})\n\n[Rows](https://www.notion.so/{PLAIN})"),
        ([block("table", row("a", "b|c"), row("1\n2"), has_column_header=True)], "| a | b\\|c |\n| --- | --- |\n| 1<br>2 |  |"),
        ([block("table", row("a", "b"), has_column_header=False)], "|  |  |\n| --- | --- |\n| a | b |"),
        ([block("column_list", block("column", said("paragraph", "left")), block("column", said("paragraph", "right")))], "left\n\nright"),
        ([block("synced_block", said("paragraph", "same"), synced_from=None), block("tab", said("paragraph", "tabbed"))], "same\n\ntabbed"),
        ([block("synced_block", missing=True, synced_from={"block_id": PAGE})], "[A part of this page is not shared with the integration.]"),
        ([block(kind, said("quote", "Notes"), title="Day") for kind in ("meeting_notes", "transcription")], "**Day**\n\n> Notes\n\n**Day**\n\n> Notes"),
        ([said("paragraph", "a"), block("divider"), block("breadcrumb"), block("table_of_contents", color="gray"), said("paragraph", "b")], "a\n\n---\n\nb"),
        ([block("unsupported", block_type="form")], "[Notion does not give out this block (form).]"),
        ([said("hologram", "Words", said("paragraph", "in it"))], "[A block of the type hologram, which Tidings does not know.]\n\nWords\n\nin it"),
    ],
)  # fmt: skip
def test_blocks(blocks: list[Block], expected: str) -> None:
    assert to_markdown(None, {}, blocks) == f"{expected}\n"


def test_marks_links_mentions_and_equations() -> None:
    pieces = [
        text("Read "),
        text("this now ", bold=True, italic=True),
        text("x = 1", code=True),
        text(" or ", strikethrough=True),
        text(" ", bold=True),
        text("that", href="https://x.example/", bold=True),
        text("inside", href=f"/{PLAIN}"),
        {"type": "mention", "mention": {"type": "user"}, "plain_text": "@Ada", "href": None, "annotations": {}},
        {"type": "equation", "equation": {"expression": "a^2"}, "plain_text": "a^2", "href": None, "annotations": {}},
    ]
    expected = f"Read ***this now*** `x = 1` ~~or~~  [**that**](https://x.example/)[inside](https://www.notion.so/{PLAIN})@Ada$a^2$\n"
    assert to_markdown(None, {}, [block("paragraph", rich_text=pieces)]) == expected


def value(kind: str, given: Any) -> dict[str, Any]:
    return {"id": "x", "type": kind, kind: given}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (value("rich_text", [text("some\nwords")]), "some words"),
        (value("number", 12.5), "12.5"),
        (value("number", None), ""),
        (value("select", {"name": "High"}), "High"),
        (value("status", {"name": "Done"}), "Done"),
        (value("multi_select", [{"name": "a"}, {"name": "b"}]), "a, b"),
        (value("date", {"start": "2025-01-01", "end": None}), "2025-01-01"),
        (value("date", {"start": "2025-01-01", "end": "2025-02-01"}), "2025-01-01 to 2025-02-01"),
        (value("people", [{"object": "user", "name": "Ada"}, {"object": "user"}]), "Ada"),
        (value("files", [{"name": "plan.pdf", **HOSTED}]), "plan.pdf"),
        (value("checkbox", False), "no"),
        (value("url", "https://x.example/"), "https://x.example/"),
        (value("email", "ada@x.example"), "ada@x.example"),
        (value("phone_number", "+1"), "+1"),
        (value("formula", {"type": "string", "string": "made"}), "made"),
        (value("formula", {"type": "boolean", "boolean": True}), "yes"),
        (value("formula", {"type": "date", "date": None}), ""),
        (value("rollup", {"type": "number", "number": 3, "function": "count"}), "3"),
        (value("rollup", {"type": "array", "array": [value("title", [text("one")]), value("relation", [{"id": PAGE}]), value("number", 2)]}), "one, 2"),
        (value("rollup", {"type": "incomplete", "incomplete": {}}), ""),
        (value("unique_id", {"prefix": "T", "number": 7}), "T-7"),
        (value("unique_id", {"prefix": None, "number": 7}), "7"),
        (value("verification", {"state": "verified"}), "verified"),
        (value("place", {"lat": 1.5, "lon": 2, "name": "Kew", "address": None}), "Kew"),
        (value("place", {"lat": 1.5, "lon": 2}), "1.5, 2"),
        (value("hologram", {"a": 1}), "[a value of the type hologram, which Tidings does not know]"),
    ],
)
def test_properties(given: Mapping[str, Any], expected: str) -> None:
    assert property_text(given) == expected
    assert to_markdown(None, {"P": given}, []) == (f"- **P**: {expected}\n" if expected else "\n")


def test_a_page_is_its_title_its_properties_and_its_blocks() -> None:
    properties = {
        "Name": value("title", [text("Ticket "), text("12")]),
        "State": value("status", {"name": "Open"}),
        "Edited": value("last_edited_time", "2025-01-01T00:00:00.000Z"),
        "By": value("created_by", {"name": "Ada"}),
        "See": value("relation", [{"id": PAGE}]),
        "Go": value("button", {}),
    }
    assert title_of({"properties": properties}) == "Ticket 12"
    assert title_of({"properties": {"Name": value("title", [])}}) is None
    assert to_markdown("Ticket 12", properties, [said("paragraph", "It broke.")]) == "# Ticket 12\n\n- **State**: Open\n\nIt broke.\n"


def test_a_tree_is_put_together_in_any_order() -> None:
    def page(name: str, kind: str, parent: str) -> dict[str, Any]:
        return {"object": "page", "id": name, "parent": {"type": kind, kind: parent}}

    tree = Tree(["root"])
    assert parent_of({"parent": {"type": "workspace", "workspace": True}}) == Parent(None)
    assert tree.place([page("c", "page_id", "b"), page("b", "page_id", "a"), page("x", "page_id", "y"), page("d", "block_id", "k")]) == []
    assert [it["id"] for it in tree.place([page("a", "page_id", "root")])] == ["a", "b", "c"]
    assert tree.place([page("y", "workspace", "")]) == []
    assert tree.unknown_blocks() == ["k"]
    assert tree.hang("k", Parent("l", block=True)) == []
    assert tree.unknown_blocks() == ["l"]
    assert [it["id"] for it in tree.hang("l", Parent("c"))] == ["l", "k", "d"]
    assert tree.unknown_blocks() == []
    assert [it["id"] for it in tree.place([page("e", "page_id", "d"), page("f", "page_id", "x")])] == ["e"]
    assert [it["id"] for it in tree.place([page("root", "page_id", "x")])] == ["root"], "what is named stays named, wherever it lies"
