"""Notion's blocks and properties as Markdown. Pure: what is in it was fetched before.

One table says what becomes of each type of block. What can't be shown as text says so in square brackets, a type that nobody knew when this was written
with its name. URLs of files that Notion keeps are left out: they are signed anew with every answer, and let anybody in.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SITE = "https://www.notion.so"
UNSHARED = "[A part of this page is not shared with the integration.]"


@dataclass(frozen=True, slots=True)
class Block:
    """A block, its type's own members (`content`), and the blocks in it; `missing` where those are not shared with us."""

    id: str
    type: str
    content: Mapping[str, Any]
    children: "tuple[Block, ...]" = ()
    missing: bool = False


def to_markdown(title: str | None, properties: Mapping[str, Any], blocks: Sequence[Block]) -> str:
    """A page: its title, its properties as a list, then its blocks."""
    listed = [f"- **{name}**: {text}" for name, value in properties.items() if value.get("type") not in _UNTOLD and (text := property_text(value))]
    return "\n\n".join(part for part in (f"# {title}" if title else "", "\n".join(listed), _blocks(blocks)) if part) + "\n"


def title_of(page: Mapping[str, Any]) -> str | None:
    """The title of a page, which is the property of that type, in plain text."""
    titles = (value.get("title") for value in (page.get("properties") or {}).values() if value.get("type") == "title")
    return _plain(next(titles, None)).strip() or None


# texts ------------------------------------------------------------------------------------------------------------------------------------------

_MARKS = (("code", "`"), ("bold", "**"), ("italic", "*"), ("strikethrough", "~~"))


def rich_text(items: Iterable[Mapping[str, Any]] | None) -> str:
    """A text with its marks and links."""
    return "".join(_styled(item) for item in items or ())


def _styled(item: Mapping[str, Any]) -> str:
    text = item.get("plain_text") or ""
    if item.get("type") == "equation":
        return f"${text}$"
    core = text.strip()
    if not core:
        return text
    before, _, after = text.partition(core)  # marks around spaces are none in Markdown
    annotations = item.get("annotations") or {}
    for name, mark in _MARKS:
        if annotations.get(name):
            core = f"{mark}{core}{mark}"
    href = item.get("href")
    return f"{before}[{core}]({SITE if href.startswith('/') else ''}{href}){after}" if href else f"{before}{core}{after}"


def _plain(items: Iterable[Mapping[str, Any]] | None) -> str:
    return "".join(item.get("plain_text") or "" for item in items or ())


# blocks -----------------------------------------------------------------------------------------------------------------------------------------

Writer = Callable[[Block], str]


def _blocks(blocks: Sequence[Block]) -> str:
    """Blocks one below the other; those of one list without an empty line in between."""
    written: list[str] = []
    number, former = 0, ""
    for block in blocks:
        number = number + 1 if block.type == "numbered_list_item" else 0
        text = _numbered(block, number) if number else _BLOCKS.get(block.type, _unknown)(block)
        if text:
            written.append(("\n" if block.type == former and block.type in _LISTS else "\n\n") + text)
            former = block.type
    return "".join(written).strip("\n")


def _inner(block: Block) -> str:
    return UNSHARED if block.missing else _blocks(block.children)


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def _indented(text: str, by: str) -> str:
    return "\n".join(f"{by}{line}" if line else line for line in text.split("\n"))


def _text(block: Block) -> str:
    return rich_text(block.content.get("rich_text"))


def _paragraph(block: Block) -> str:
    return _joined(_text(block), _inner(block))


def _heading(level: int) -> Writer:
    return lambda block: _joined(f"{'#' * level} {' '.join(_text(block).split())}".rstrip("# "), _inner(block))


def _item(block: Block, mark: str) -> str:
    inner, by = _inner(block), " " * (mark.index(" ") + 1)
    return mark + _indented(_text(block) + (f"\n{inner}" if inner else ""), by).lstrip()


def _numbered(block: Block, number: int) -> str:
    return _item(block, f"{number}. ")


def _quoted(block: Block) -> str:
    text = _joined(_text(block), _inner(block))
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n")) if text else ""


def _code(block: Block) -> str:
    code = _plain(block.content.get("rich_text"))
    fence = "```"
    while fence in code:
        fence += "`"
    language = block.content.get("language") or ""
    return _joined(f"{fence}{'' if language == 'plain text' else language}\n{code}\n{fence}", rich_text(block.content.get("caption")))


def _medium(kind: str) -> Writer:
    def write(block: Block) -> str:
        caption = rich_text(block.content.get("caption")) or block.content.get("name") or ""
        url = (block.content.get("external") or {}).get("url")
        return f"[{caption or kind}]({url})" if url else f"[{kind}{': ' if caption else ''}{caption}]"

    return write


def _link(block: Block) -> str:
    url = block.content.get("url") or ""
    return f"[{rich_text(block.content.get('caption')) or url}]({url})" if url else ""


def _link_to_page(block: Block) -> str:
    target = block.content.get(block.content.get("type", ""))
    return f"[Another page]({_address(target)})" if isinstance(target, str) else ""


def _child(block: Block) -> str:
    return f"[{block.content.get('title') or 'Untitled'}]({_address(block.id)})"


def _table(block: Block) -> str:
    rows = [[_cell(cell) for cell in row.content.get("cells", ())] for row in block.children if row.type == "table_row"]
    if not rows:
        return _inner(block)
    width = max(map(len, rows))
    if not block.content.get("has_column_header"):
        rows.insert(0, [""] * width)
    rows.insert(1, ["---"] * width)
    return "\n".join(f"| {' | '.join([*row, *[''] * (width - len(row))])} |" for row in rows)


def _cell(items: Iterable[Mapping[str, Any]]) -> str:
    return rich_text(items).replace("|", "\\|").replace("\n", "<br>")


def _meeting(block: Block) -> str:
    title = rich_text(block.content.get("title"))
    return _joined(f"**{title}**" if title else "", _inner(block))


def _unsupported(block: Block) -> str:
    return f"[Notion does not give out this block ({block.content.get('block_type') or 'unsupported'}).]"


def _unknown(block: Block) -> str:
    return _joined(f"[A block of the type {block.type}, which Tidings does not know.]", _text(block), _inner(block))


def _nothing(_: Block) -> str:
    return ""


def _address(id_: str) -> str:
    return f"{SITE}/{id_.replace('-', '')}"


_LISTS = frozenset({"bulleted_list_item", "numbered_list_item", "to_do"})
_BLOCKS: dict[str, Writer] = {
    "paragraph": _paragraph,
    "heading_1": _heading(1),
    "heading_2": _heading(2),
    "heading_3": _heading(3),
    "heading_4": _heading(4),
    "bulleted_list_item": lambda block: _item(block, "- "),
    "to_do": lambda block: _item(block, "- [x] " if block.content.get("checked") else "- [ ] "),
    "toggle": _paragraph,
    "template": _paragraph,
    "quote": _quoted,
    "callout": _quoted,
    "code": _code,
    "equation": lambda block: f"$$\n{block.content.get('expression') or ''}\n$$",
    "image": _medium("Image"),
    "video": _medium("Video"),
    "audio": _medium("Audio"),
    "pdf": _medium("PDF"),
    "file": _medium("File"),
    "bookmark": _link,
    "embed": _link,
    "link_preview": _link,
    "link_to_page": _link_to_page,
    "child_page": _child,
    "child_database": _child,
    "table": _table,
    "column_list": _inner,
    "column": _inner,
    "synced_block": _inner,
    "tab": _inner,
    "meeting_notes": _meeting,
    "transcription": _meeting,
    "divider": lambda _: "---",
    "breadcrumb": _nothing,
    "table_of_contents": _nothing,
    "unsupported": _unsupported,
}

# properties -------------------------------------------------------------------------------------------------------------------------------------

# the title stands above the text; who edited when is no knowledge; a relation is ids of other pages; a button is pressed
_UNTOLD = frozenset({"title", "created_time", "created_by", "last_edited_time", "last_edited_by", "relation", "button"})


def property_text(value: Mapping[str, Any]) -> str:
    """The value of a property in one line; empty where it has none."""
    kind = value.get("type", "")
    given = value.get(kind)
    if given is None or given == []:
        return ""
    write = _PROPERTIES.get(kind)
    return " ".join(write(given).split()) if write else f"[a value of the type {kind}, which Tidings does not know]"


def _names(items: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(item.get("name") or "" for item in items if item.get("name"))


def _name(item: Mapping[str, Any]) -> str:
    return item.get("name") or ""


def _date(date: Mapping[str, Any]) -> str:
    return " to ".join(date[end] for end in ("start", "end") if date.get(end))


def _rollup(rollup: Mapping[str, Any]) -> str:
    return ", ".join(filter(None, map(property_text, rollup.get("array") or ()))) if rollup.get("type") == "array" else property_text(rollup)


def _unique_id(value: Mapping[str, Any]) -> str:
    return "-".join(str(part) for part in (value.get("prefix"), value.get("number")) if part is not None)


def _yes_or_no(value: bool) -> str:  # noqa: FBT001 - a property's value
    return "yes" if value else "no"


def _place(place: Mapping[str, Any]) -> str:
    return ", ".join(place[part] for part in ("name", "address") if place.get(part)) or f"{place.get('lat')}, {place.get('lon')}"


def _empty(_: object) -> str:
    return ""


_PROPERTIES: dict[str, Callable[[Any], str]] = {
    "title": _plain,
    "rich_text": rich_text,
    "number": str,
    "string": str,
    "boolean": _yes_or_no,
    "checkbox": _yes_or_no,
    "select": _name,
    "status": _name,
    "multi_select": _names,
    "people": _names,
    "files": _names,
    "date": _date,
    "url": str,
    "email": str,
    "phone_number": str,
    "formula": property_text,
    "rollup": _rollup,
    "unique_id": _unique_id,
    "verification": lambda value: value.get("state") or "",
    "place": _place,
    **dict.fromkeys(_UNTOLD - {"title"}, _empty),
    "incomplete": _empty,
    "unsupported": _empty,
}
