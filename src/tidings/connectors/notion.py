"""The kind `notion`: pages of a Notion workspace, and what lies below them."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Annotated, ClassVar

from notion_client.helpers import extract_notion_id
from pydantic import AfterValidator, Field

from tidings import clock
from tidings.connectors.base import (
    MEGABYTE,
    Config,
    Connector,
    Fetched,
    Found,
    Gone,
    Listed,
    Outcome,
    Source,
    SourceContext,
    Unlistable,
    Wanted,
    Written,
    several_at_once,
)
from tidings.connectors.notion_api import AT_ONCE, ODD, PAUSE, SITE, Notion, Object, not_shared, of_the_source, open_notion
from tidings.connectors.notion_markdown import Block, title_of, to_markdown
from tidings.connectors.notion_tree import Parent, Tree, parent_of
from tidings.errors import RowNotFetched, RowNotRead
from tidings.model.targets import Targets

NOT_UNDERSTOOD = (AttributeError, TypeError, ValueError, LookupError)  # what members of another form than the documentation has them come to
DEPTH = 30  # of blocks in blocks
BLOCKS = 10_000  # of one page
ROW_SECONDS = 900.0  # a page with many blocks in blocks takes as many requests, three a second
CONVERSION = "1"  # another one once pages give other text than before
ROUGH = 120 * clock.SECOND  # times of change are whole minutes, by Notion's clock: a page can change again without a later one


def _id(text: str) -> str:
    found = extract_notion_id(text)
    if found is None:
        raise ValueError("It has to be the URL of a page or database in Notion, or its id")
    return found


Ids = Annotated[tuple[Annotated[str, Field(max_length=2048), AfterValidator(_id)], ...], Field(max_length=200)]


class NotionConfig(Config):
    """The settings of a `notion` data source."""

    token: Annotated[
        str, Field(min_length=1, max_length=512), Written(r"[!-~]+", "A token has no spaces and only letters, digits and signs of ASCII. Copy it once more.")
    ] = Field(
        description="The token of an internal integration, from notion.so/my-integrations, with the capability to read content. "
        "Share with it what it may read (in Notion: ... > Connections); pages below a shared one are shared too."
    )
    pages: Ids = Field((), description="URLs or ids of pages: these are taken, with the pages and databases below them.")
    databases: Ids = Field((), description="URLs or ids of databases: their pages are taken, with those below. Without pages and databases all that is shared.")


class NotionConnector(Connector[NotionConfig]):
    """Pages of Notion; a row's key is the page's id. `site`: where the API is; `pause`: seconds between two requests."""

    kind: ClassVar[str] = "notion"
    title: ClassVar[str] = "Notion"
    description: ClassVar[str] = "Pages and databases of a Notion workspace that are shared with an integration."
    sees_changes: ClassVar[str] = "By `last_edited_time`: an unchanged page costs no request for its blocks."
    looks_up: ClassVar[str] = "Pages by id or URL, where all that is shared is synced; not where only some pages or databases are named."
    cannot: ClassVar[str] = "See pages that are not shared with the integration, or what is in files, images and embedded pages of others."
    tried: ClassVar[str] = "A Notion of ours, built from its public API documentation; never live."
    config_type: ClassVar[type[Config]] = NotionConfig
    secret_fields: ClassVar[frozenset[str]] = frozenset({"token"})

    def __init__(self, site: str = SITE, pause: float = PAUSE) -> None:
        self._site = site
        self._pause = pause

    def text_settings(self, config: NotionConfig) -> tuple[str, ...]:  # noqa: ARG002 - none touches it
        """Which way of making text of blocks it is."""
        return (CONVERSION,)

    async def open(self, config: NotionConfig, context: SourceContext) -> "NotionSource":
        """The API with this token; whether it is accepted shows when it is listed."""
        return NotionSource(await open_notion(context.outbound, config.token, self._site, self._pause), config, context.max_file_bytes)


class NotionSource(Source):
    """What is shared: all of it, or the pages and databases that are named with what lies below. Texts over `limit` bytes are failed rows."""

    row_seconds: ClassVar[float | None] = ROW_SECONDS

    def __init__(self, notion: Notion, config: NotionConfig, limit: int) -> None:
        self._notion = notion
        self._config = config
        self._limit = limit
        self._listed: set[str] = set()  # ids: Notion may give a page that is edited meanwhile twice; 100 bytes for each
        self._whole = True

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._notion.aclose()

    async def list_rows(self) -> AsyncIterator[Sequence[Listed | Unlistable]]:
        """The pages that are named, the pages of the databases, and what the search finds below them."""
        roots = set(self._config.pages)
        for page_id in self._config.pages:
            yield await self._named(page_id)
        for database_id in self._config.databases:
            async for rows in self._database(database_id, roots):
                yield rows
        try:
            async for rows in self._search(roots):
                yield rows
        except RowNotFetched as error:
            raise of_the_source(error) from error
        self.complete = self._whole

    async def find_rows(self, targets: Targets) -> Sequence[Found] | None:
        """Pages by id or URL. None where only what lies below others is wanted, which a listing knows; and where Notion does not know one."""
        names = [extract_notion_id(name) for name in (*targets.keys, *targets.urls)]
        if self._config.pages or self._config.databases:
            return None
        found: list[Found] = []
        for page_id in names:
            try:
                page = await self._notion.ask(self._notion.client.pages.retrieve, page_id=page_id) if page_id else None
            except RowNotFetched as error:
                if not_shared(error):
                    return None
                raise of_the_source(error) from error
            if page is None:
                return None
            found += [Gone(page["id"])] if _is_gone(page) else self._rows([page])
        return found

    async def _named(self, page_id: str) -> list[Listed | Unlistable]:
        try:
            return [*self._rows([await self._notion.ask(self._notion.client.pages.retrieve, page_id=page_id)])]
        except RowNotFetched as error:
            self._whole = False  # what lies below is not known
            self._listed.add(page_id)
            return [Unlistable(page_id, error)]

    async def _database(self, database_id: str, roots: set[str]) -> AsyncIterator[Sequence[Listed | Unlistable]]:
        """The pages of a database; its parts, which Notion calls data sources, are added to `roots`."""
        client = self._notion.client
        try:
            database = await self._notion.ask(client.databases.retrieve, database_id=database_id)
            if _is_gone(database):
                return
            for part in database.get("data_sources", ()):
                roots.add(part["id"])
                async for objects in self._notion.ask_all(client.data_sources.query, data_source_id=part["id"]):
                    yield self._rows(objects)
        except RowNotFetched as error:
            self._whole = False
            yield [Unlistable(database_id, error)]

    async def _search(self, roots: set[str]) -> AsyncIterator[Sequence[Listed | Unlistable]]:
        """What is shared and, where something is named, lies below it."""
        tree = Tree(roots)
        async for objects in self._notion.ask_all(self._notion.client.search):
            there = [each for each in objects if not _is_gone(each)]
            yield self._rows(tree.place(there) if self._config.pages or self._config.databases else there)
        while unknown := tree.unknown_blocks():
            for block_id in unknown:
                yield self._rows(tree.hang(block_id, await self._above(block_id)))

    async def _above(self, block_id: str) -> Parent:
        """What a block, in which a page lies, lies in itself."""
        try:
            return parent_of(await self._notion.ask(self._notion.client.blocks.retrieve, block_id=block_id))
        except RowNotFetched as error:
            if not_shared(error):
                return Parent(None)
            raise

    def _rows(self, objects: Iterable[Object]) -> list[Listed | Unlistable]:
        rows: list[Listed | Unlistable] = []
        for page in objects:
            if page.get("object") == "page" and not _is_gone(page) and page["id"] not in self._listed:
                self._listed.add(page["id"])
                rows.append(_row(page))
        return rows

    async def fetch(self, wanted: Sequence[Wanted]) -> list[Outcome]:
        """Several pages at a time, as an answer may take longer than the third of a second after which Notion may be asked again."""
        return await several_at_once(self._fetch, wanted, AT_ONCE)

    async def _fetch(self, wanted: Wanted) -> Outcome:
        page = await self._notion.ask(self._notion.client.pages.retrieve, page_id=wanted.row.key)
        if _is_gone(page):
            raise RowNotRead("The page was moved to the trash while the sync was running. If it stays there, the next sync removes the row.")
        blocks, _ = await self._blocks(wanted.row.key, DEPTH, BLOCKS)
        try:
            title = title_of(page)
            content = to_markdown(title, page.get("properties") or {}, blocks).encode(errors="replace")
        except NOT_UNDERSTOOD as error:
            raise RowNotFetched(ODD) from error
        if len(content) > self._limit:
            raise RowNotRead(f"The page's text is larger than {self._limit / MEGABYTE:g} MB. Split it, or ask the operator to raise TIDINGS_MAX_FILE_MB.")
        return Fetched(content, _validator(page), "page.md", "text/markdown", title, page.get("url"))

    async def _blocks(self, parent_id: str, depth: int, room: int) -> tuple[tuple[Block, ...], int]:
        """The blocks in a page or block, `depth` levels of them and at most `room`; how much room is left."""
        blocks: list[Block] = []
        async for objects in self._notion.ask_all(self._notion.client.blocks.children.list, block_id=parent_id):
            for one in objects:
                if not depth or not room:
                    raise RowNotRead(f"The page has more than {BLOCKS} blocks, or more than {DEPTH} levels of blocks in blocks, so it was not read. Split it.")
                block, room = await self._block(one, depth - 1, room - 1)
                blocks.append(block)
        return tuple(blocks), room

    async def _block(self, one: Object, depth: int, room: int) -> tuple[Block, int]:
        kind = str(one.get("type", "unsupported"))
        content = one.get(kind)
        content = content if isinstance(content, dict) else {}
        if not one.get("has_children") or kind in {"child_page", "child_database"}:  # those are rows of their own
            return Block(one["id"], kind, content), room
        try:
            children, room = await self._blocks(one["id"], depth, room)
        except RowNotFetched as error:
            if not not_shared(error):  # as the original of a synced block may be
                raise
            return Block(one["id"], kind, content, missing=True), room
        return Block(one["id"], kind, content, children), room


def _row(page: Object) -> Listed | Unlistable:
    try:
        return Listed(page["id"], _validator(page), title_of(page), page.get("url"))
    except NOT_UNDERSTOOD:
        return Unlistable(page["id"], RowNotFetched(ODD))


def _is_gone(it: Object) -> bool:
    return any(it.get(mark) for mark in ("in_trash", "archived", "is_archived"))


def _validator(page: Object) -> str | None:
    """When a page was edited last, where that is so long ago that a later change shows."""
    edited = str(page.get("last_edited_time", ""))
    try:
        at = int(datetime.fromisoformat(edited).timestamp() * clock.SECOND)
    except (ValueError, OverflowError):
        return None
    return edited if at + ROUGH <= clock.now() else None
