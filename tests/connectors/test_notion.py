"""The kind `notion` against a small Notion of ours, through its real client library and the guarded proxy."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.connectors.behaviours import Behaviours, Lack, Place
from tests.connectors.notion_server import LONG_AGO, TOKEN, Notion, block, id_of, notion_server, paragraph
from tidings.connectors import notion as tuning
from tidings.connectors.base import Fetched, Gone, Listed, Outcome, SourceContext, Unlistable, Wanted
from tidings.connectors.notion import NotionConnector, NotionSource
from tidings.errors import Invalid, RowNotFetched, RowNotRead, SourceRejected, SourceUnreachable
from tidings.model.targets import Targets
from tidings.outbound import Outbound

HERE = (ip_network("127.0.0.0/8"),)
AT_ONCE = 0.0  # seconds between two requests


class NotionPlace(Place):
    """A workspace of which everything is shared."""

    lacks: ClassVar[dict[Lack, str]] = {}

    at_once: ClassVar[int] = 6

    def __init__(self, notion: Notion) -> None:
        super().__init__()
        self.notion = notion
        self.connector = NotionConnector(notion.url, AT_ONCE)
        self.config = {"token": TOKEN}

    @property
    def reads(self) -> list[str]:
        """The pages whose blocks were asked for."""
        paths = [path.split("/") for path in self.notion.asked if path.endswith("/children")]
        return [parts[-2] for parts in paths if parts[-2] in self.notion.pages]

    async def put(self, name: str, text: str) -> str:
        self.notion.broken.discard(id_of(name))
        return self.notion.put(name, paragraph(text))

    async def remove(self, name: str) -> None:
        self.notion.pages[id_of(name)]["in_trash"] = True

    async def spoil(self, name: str) -> None:
        self.notion.put(name)
        self.notion.broken.add(id_of(name))

    async def take_down(self) -> None:
        self.notion.down = True

    async def bring_back(self) -> None:
        self.notion.down = False

    async def refuse(self) -> None:
        self.notion.token = "another"

    async def hold(self, after: int = 0) -> None:
        self.notion.released.clear()
        self.notion.let_through = after

    async def release(self) -> None:
        self.notion.let_through = None
        self.notion.released.set()

    @property
    def waiting(self) -> int:
        return self.notion.waiting


class TestNotion(Behaviours):
    @pytest.fixture
    async def place(self) -> AsyncIterator[Place]:
        async with notion_server() as notion:
            yield NotionPlace(notion)


@pytest.fixture
async def notion() -> AsyncIterator[Notion]:
    async with notion_server() as notion:
        yield notion


@asynccontextmanager
async def source_of(notion: Notion, outbound: Outbound | None = None, limit: int = 1 << 20, **config: Any) -> AsyncIterator[NotionSource]:
    outbound = outbound or Outbound(HERE)
    connector = NotionConnector(notion.url, AT_ONCE)
    try:
        context = SourceContext("0" * 26, Path("/nowhere"), (), limit, outbound)
        async with await connector.open(connector.parse({"token": TOKEN, **config}), context) as source:
            assert isinstance(source, NotionSource)
            yield source
    finally:
        await outbound.aclose()


async def listed(source: NotionSource) -> dict[str, Listed | Unlistable]:
    found: dict[str, Listed | Unlistable] = {}
    async for batch in source.list_rows():
        for row in batch:
            assert row.key not in found
            found[row.key] = row
    return found


async def fetched(source: NotionSource, name: str) -> Outcome:
    return (await source.fetch([Wanted(Listed(id_of(name), None))]))[0]


async def text_of(source: NotionSource, name: str) -> str:
    outcome = await fetched(source, name)
    assert isinstance(outcome, Fetched), outcome
    return outcome.content.decode()


def in_page(name: str) -> dict[str, Any]:
    return {"type": "page_id", "page_id": id_of(name)}


def in_part(name: str, database: str) -> dict[str, Any]:
    return {"type": "data_source_id", "data_source_id": id_of(name), "database_id": id_of(database)}


def in_block(name: str) -> dict[str, Any]:
    return {"type": "block_id", "block_id": id_of(name)}


def ids(*names: str) -> set[str]:
    return {id_of(name) for name in names}


def fill(notion: Notion) -> None:
    """A handbook with a page in a toggle in a column, a database with pages that have pages, and something else."""
    toggle = block("toggle", name="a toggle", rich_text="More")
    notion.put("handbook", block("column_list", block("column", toggle)))
    notion.put("deep", parent=in_block("a toggle"))
    notion.put("deeper", parent=in_page("deep"))
    notion.put_part("tickets 2024", "tickets", in_page("handbook"))
    notion.put_part("tickets 2025", "tickets", in_page("handbook"))
    notion.put("ticket 1", parent=in_part("tickets 2024", "tickets"))
    notion.put("ticket 2", parent=in_part("tickets 2025", "tickets"))
    notion.put("notes on ticket 2", parent=in_page("ticket 2"))
    notion.put("elsewhere")
    notion.put("below elsewhere", parent=in_page("elsewhere"))
    notion.put("of nowhere", parent=in_page("not shared"))


async def test_everything_that_is_shared(notion: Notion) -> None:
    fill(notion)
    notion.put("hidden")
    notion.hidden.add(id_of("hidden"))
    notion.most = 3
    async with source_of(notion) as source:
        rows = await listed(source)
        assert rows.keys() == set(notion.pages) - ids("hidden")
        assert source.complete
        assert rows[id_of("deep")] == Listed(id_of("deep"), LONG_AGO.format(1), "deep", f"https://www.notion.so/{id_of('deep').replace('-', '')}")
        assert {path for path in notion.asked if path != "POST /v1/search"} == set(), "an unchanged page costs no request of its own"


@pytest.mark.parametrize("reverse", [False, True])
async def test_a_page_and_what_lies_below_it(notion: Notion, reverse: bool) -> None:  # noqa: FBT001 - a parameter
    fill(notion)
    notion.most = 2
    if reverse:
        notion.pages = dict(reversed(notion.pages.items()))
    url = f"https://www.notion.so/acme/Handbook-{id_of('handbook').replace('-', '')}?pvs=4"
    async with source_of(notion, pages=[url]) as source:
        assert (await listed(source)).keys() == ids("handbook", "deep", "deeper", "ticket 1", "ticket 2", "notes on ticket 2")
        assert source.complete
    async with source_of(notion, databases=[id_of("tickets")], pages=[id_of("deep")]) as source:
        assert (await listed(source)).keys() == ids("deep", "deeper", "ticket 1", "ticket 2", "notes on ticket 2")


async def test_blocks_that_lie_in_a_circle_end(notion: Notion) -> None:
    fill(notion)
    notion.blocks[id_of("a toggle")]["parent"] = in_block("another")
    notion.blocks[id_of("another")] = {**block("toggle"), "id": id_of("another"), "parent": in_block("a toggle")}
    async with source_of(notion, pages=[id_of("handbook")]) as source:
        assert id_of("deep") not in await listed(source)


async def test_what_is_named_and_not_shared_is_a_failed_row_and_removes_nothing(notion: Notion) -> None:
    fill(notion)
    async with source_of(notion, pages=[id_of("nothing"), id_of("elsewhere")], databases=[id_of("no database")]) as source:
        rows = await listed(source)
        assert rows.keys() == ids("nothing", "elsewhere", "below elsewhere", "no database")
        for name in ("nothing", "no database"):
            row = rows[id_of(name)]
            assert isinstance(row, Unlistable)
            assert isinstance(row.error, RowNotFetched)
            assert "Share it with the integration" in str(row.error)
        assert not source.complete


@pytest.mark.parametrize("mark", ["in_trash", "archived"])
async def test_what_was_thrown_away_is_gone(notion: Notion, mark: str) -> None:
    fill(notion)
    notion.pages[id_of("elsewhere")][mark] = True
    async with source_of(notion, pages=[id_of("elsewhere"), id_of("deep")]) as source:
        assert (await listed(source)).keys() >= ids("deep", "deeper")
        assert id_of("elsewhere") not in await listed(source)
        assert isinstance(await fetched(source, "elsewhere"), RowNotRead)


async def test_a_page_that_was_just_edited_is_asked_for_again(notion: Notion) -> None:
    """Notion tells the minute: within it a page can change again and show the same time."""
    notion.put("fresh", paragraph("Something."))
    for seconds, settled in ((60, False), (180, True)):
        at = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
        notion.pages[id_of("fresh")]["last_edited_time"] = at
        async with source_of(notion) as source:
            row = (await listed(source))[id_of("fresh")]
            assert isinstance(row, Listed)
            assert row.validator == (at if settled else None)
            got = await fetched(source, "fresh")
            assert isinstance(got, Fetched)
            assert got.validator == row.validator


async def test_blocks_in_blocks_over_several_answers(notion: Notion) -> None:
    notion.most = 2
    items = [block("bulleted_list_item", *[paragraph(f"in {n}, {m}") for m in range(3)], rich_text=f"item {n}") for n in range(5)]
    notion.put("long", *items)
    async with source_of(notion) as source:
        text = await text_of(source, "long")
        assert text.startswith("# long\n\n- item 0\n  in 0, 0\n\n  in 0, 1\n\n  in 0, 2\n- item 1\n")
        assert text.rstrip().endswith("in 4, 2")


async def test_a_part_that_is_not_shared_does_not_take_the_page_with_it(notion: Notion) -> None:
    notion.put("page", block("synced_block", paragraph("secret"), name="a copy", synced_from={"block_id": id_of("original")}), paragraph("open"))
    notion.hidden.add(id_of("a copy"))
    async with source_of(notion) as source:
        assert await text_of(source, "page") == "# page\n\n[A part of this page is not shared with the integration.]\n\nopen\n"


async def test_pages_beyond_all_bounds_are_failed_rows(notion: Notion, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = paragraph("bottom")
    for _ in range(5):
        deep = block("toggle", deep, rich_text="down")
    notion.put("deep", deep)
    notion.put("wide", *[paragraph(str(n)) for n in range(12)])
    notion.put("long", paragraph("x" * 2000))
    for bound, value, name in (("DEPTH", 5, "deep"), ("BLOCKS", 11, "wide")):
        with monkeypatch.context() as patch:
            patch.setattr(tuning, bound, value)
            async with source_of(notion) as source:
                assert "so it was not read. Split it." in str(await fetched(source, name))
    async with source_of(notion, limit=1024) as source:
        assert "TIDINGS_MAX_FILE_MB" in str(await fetched(source, "long"))
        assert isinstance(await fetched(source, "deep"), Fetched)


async def test_notion_asks_for_patience_and_gets_it(notion: Notion) -> None:
    fill(notion)
    notion.refusals = [(429, {"Retry-After": "0"}), (503, {}), (500, {})]
    async with source_of(notion, pages=[id_of("elsewhere")]) as source:
        rows = await listed(source)
        assert isinstance(rows[id_of("elsewhere")], Unlistable), "three tries for one request"
    notion.refusals = [(429, {"Retry-After": "0"}), (502, {})]
    async with source_of(notion, pages=[id_of("elsewhere")]) as source:
        assert isinstance((await listed(source))[id_of("elsewhere")], Listed)
    notion.refusals = [(429, {"Retry-After": "600"})]
    async with source_of(notion) as source:
        with pytest.raises(SourceUnreachable, match="asks to be left alone"):
            await listed(source)


async def test_pages_that_somebody_names_are_found_without_a_listing(notion: Notion) -> None:
    fill(notion)
    notion.put("thrown away")
    notion.pages[id_of("thrown away")]["in_trash"] = True
    url = f"https://www.notion.so/acme/Deep-{id_of('deep').replace('-', '')}"
    async with source_of(notion) as source:
        found = await source.find_rows(Targets((id_of("elsewhere"), id_of("thrown away")), (url,)))
        assert found is not None
        assert [type(row) for row in found] == [Listed, Gone, Listed]
        assert [row.key for row in found] == [id_of(name) for name in ("elsewhere", "thrown away", "deep")]
        assert len(notion.asked) == 3
        assert await source.find_rows(Targets((id_of("nothing"),))) is None, "a listing tells whether it is gone"
        assert await source.find_rows(Targets((), ("https://example.com/",))) is None
    async with source_of(notion, pages=[id_of("handbook")]) as source:
        assert await source.find_rows(Targets((id_of("elsewhere"),))) is None


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("paragraph", "no object"),
        ("paragraph", {"rich_text": 7}),
        ("paragraph", {"rich_text": [7]}),
        ("table", {"has_column_header": True}),
        ("code", {"rich_text": [{"plain_text": 7}], "language": []}),
        ("image", {"external": [1]}),
        ("a new one", {"rich_text": {}}),
        ("bookmark", {"caption": [{"href": 5, "plain_text": "x"}]}),
    ],
)
async def test_a_block_of_another_form_costs_its_page_at_most(notion: Notion, kind: str, content: Any) -> None:
    notion.put("odd", {"object": "block", "type": kind, kind: content, "children": [paragraph("in it")]})
    notion.put("good", paragraph("as ever"))
    async with source_of(notion) as source:
        assert len(await listed(source)) == 2
        outcome = await fetched(source, "odd")
        assert isinstance(outcome, Fetched) or "does not understand" in str(outcome)
        assert "as ever" in await text_of(source, "good")


async def test_properties_of_another_form_cost_their_page_at_most(notion: Notion) -> None:
    odd: list[Any] = [None, 7, "x", [], {"type": "date", "date": "today"}, {"type": "select", "select": [1]}, {"type": "rollup", "rollup": 5}, {"type": ["a"]}]
    for number, value in enumerate(odd):
        notion.put(f"odd {number}", Property=value)
    notion.put("none")
    notion.pages[id_of("none")]["properties"] = None
    notion.put("good", paragraph("as ever"), Date={"type": "date", "date": {"start": "9999-12-31"}})
    notion.pages[id_of("good")]["last_edited_time"] = "0001-01-01T00:00:00"
    async with source_of(notion) as source:
        rows = await listed(source)
        assert len(rows) == len(odd) + 2
        for name in (*(f"odd {number}" for number in range(len(odd))), "none"):
            outcome = await fetched(source, name)
            assert isinstance(outcome, Fetched) or "does not understand" in str(outcome)
        assert "9999-12-31" in await text_of(source, "good")


@pytest.mark.parametrize("spoilt", [{"results": None}, {"results": [{"object": "page"}]}, {"results": [], "has_more": True, "next_cursor": None}])
async def test_a_list_that_makes_no_sense_removes_nothing(notion: Notion, spoilt: dict[str, Any]) -> None:
    fill(notion)
    notion.lists = spoilt
    async with source_of(notion) as source:
        with pytest.raises(SourceUnreachable, match=r"does not understand.*No rows were removed"):
            await listed(source)


async def test_what_came_upon_another_request_is_asked_again(notion: Notion) -> None:
    fill(notion)
    notion.refusals = [(409, {}), (429, {})]
    async with source_of(notion) as source:
        assert all(isinstance(row, Listed) for row in (await listed(source)).values())


async def test_a_token_that_is_not_accepted(notion: Notion) -> None:
    notion.token = "another"
    named: list[dict[str, Any]] = [{}, {"pages": [id_of("any")]}, {"databases": [id_of("any")]}]
    for config in named:
        async with source_of(notion, **config) as source:
            with pytest.raises(SourceRejected, match=r"Notion does not accept the token\. Make a new one") as caught:
                await listed(source)
            assert TOKEN not in str(caught.value)


async def test_the_guard_stands_before_notion_too(notion: Notion) -> None:
    async with source_of(notion, Outbound()) as source:
        with pytest.raises(SourceRejected, match=r"127\.0\.0\.1 is a loopback address\. Ask the operator to add 127\.0\.0\.0/8"):
            await listed(source)
    assert notion.asked == []


async def test_what_is_not_notion_is_named(notion: Notion) -> None:
    notion.url += "/else"
    async with source_of(notion) as source:
        with pytest.raises(SourceRejected, match=r"There is no such page|Notion has no such page|Notion refuses"):
            await listed(source)


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, "config.token"),
        ({"token": "two words"}, "config.token"),
        ({"token": "line\nbreak"}, "config.token"),
        ({"token": TOKEN, "pages": ["https://example.com/0123456789abcdef0123456789abcdef"]}, "config.pages.0"),
        ({"token": TOKEN, "databases": ["My database"]}, "config.databases.0"),
        ({"token": TOKEN, "pages": [id_of("one")] * 201}, "config.pages"),
        ({"token": TOKEN, "site": "http://127.0.0.1"}, "config.site"),
    ],
)
def test_a_config_that_can_not_be(config: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        NotionConnector().parse(config)
    assert [error.field for error in caught.value.errors] == [field]
    assert TOKEN not in json.dumps([error.message for error in caught.value.errors])
