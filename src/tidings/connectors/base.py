"""What a connector is: how a kind of data source is described, checked, listed and fetched.

A sync opens a source by `await connector.open(config, context)`, goes through `list_rows`, decides row by row, asks `fetch` for the rows that it
needs, reads `complete` and `cursor` once the listing has ended, and calls `aclose`. Each call has a limit on its time (`syncs/patience.py`): 60 s to open,
60 s for each row of a fetch, 10 minutes from one batch of a listing to the next; an empty batch is a sign of life. A call that takes longer is cancelled, and
so is everything when the sync is. Trouble with the source as a whole is raised as `SourceUnreachable` or
`SourceRejected` and fails the sync; trouble with one row is a `RowError` in that row's place.

Where somebody says which rows have changed, a sync asks `find_rows` for those and lists nothing. A kind that can look a row up by its key, or by its URL,
without a listing answers for each target what `list_rows` would have said of it, or `Gone`. A kind that can't inherits the answer None. The rows then
take the same way as listed ones.

A kind whose source tells versions apart while it lists (files, object stores, a CMS with times of change) puts them into `Listed.validator`. One whose
source only tells when asked about one row (ETag, Last-Modified) lists `validator=None` and answers `UNCHANGED` to a conditional request made from
`Wanted.known`. One that has to read rows in order to list them (the links of pages) asks `context.remembered` for what is stored of them. One that lists only
what is new since a cursor takes it from `context.cursor`, sets `cursor`, and leaves `complete` False.
`context.cursor` is what `Source.cursor` was when this data source was last synced well without a failed row. It is None, and all is to be listed, for a
forced sync, under another config or pipeline than then, and after a rollback.
"""

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

from tidings.errors import FieldError, Invalid, RowError
from tidings.model.sentences import sentence_of
from tidings.model.targets import Targets
from tidings.outbound import Outbound
from tidings.settings import Settings

MEGABYTE = 1 << 20
LONGEST_CURSOR = 2_000  # characters
BATCH_ROWS = 64
BATCH_BYTES = 4 * MEGABYTE
SIZE_GUESSED = BATCH_BYTES // 16  # bytes, of a row whose source does not tell its size


class Config(BaseModel):
    """The settings of one data source, as its owner wrote them. A kind adds its fields; what it does not name is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


ConfigT = TypeVar("ConfigT", bound=Config)


@dataclass(frozen=True, slots=True)
class Written:
    """`Annotated[str, Written(...)]`: text of this pattern. People are told `how` to write it, programs read the pattern in the schema."""

    pattern: str
    how: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^{self.pattern}$"}

    def _checked(self, text: str) -> str:
        if re.fullmatch(self.pattern, text) is None:
            raise ValueError(self.how)
        return text


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is stored of a row: the validator of its last good version. `settled`: this sync has dealt with the row already, before it was taken over."""

    validator: str
    settled: bool


Memory = Callable[[Sequence[str]], Awaitable[Mapping[str, Remembered]]]


async def no_memory(keys: Sequence[str]) -> Mapping[str, Remembered]:  # noqa: ARG001 - a `Memory`
    """Nothing is stored of any row."""
    return {}


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a connector may know besides its config. Connectors read no environment and no settings of their own."""

    data_source_id: str
    home: Path
    local_roots: tuple[Path, ...]
    max_file_bytes: int
    outbound: Outbound  # the only way to the network
    cursor: str | None = None  # see `Source.cursor`; None: list from the beginning
    sql_hosts: tuple[str, ...] = ()  # `host` or `host:port`, in lower case: the databases that the operator lets data sources read
    # What is stored of the rows with these keys, for a kind that has to read rows in order to list them. Nothing where their text is to be made anew.
    remembered: Memory = no_memory


def source_context(settings: Settings, outbound: Outbound, data_source_id: str, cursor: str | None = None) -> SourceContext:
    """The context of one data source under these settings."""
    return SourceContext(data_source_id, settings.home, settings.local_roots, int(settings.max_file_mb * MEGABYTE), outbound, cursor, settings.sql_hosts)


@dataclass(frozen=True, slots=True)
class Listed:
    """One row that the source says it has."""

    key: str  # stable and unique within the data source; text without NUL or lone surrogates
    validator: str | None  # equal to the one of the last fetch: unchanged for certain. None: only a fetch can tell
    title: str | None = None  # a name to show while nothing better is known (a file's name); the text's own title goes before it
    url: str | None = None
    size: int | None = None  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried(Listed):
    """A row whose content came along with the listing, for `fetch_carried`. Nobody keeps it once the row is settled."""

    content: bytes | RowError
    filename: str | None = None  # these two as in `Fetched`
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class Unlistable:
    """A row that is there, but can't be taken up. It counts as listed (it is never removed for this) and failed by `error`."""

    key: str
    error: RowError


@dataclass(frozen=True, slots=True)
class Gone:
    """A row that somebody asked for and that the source vouches it does not have, or that the config leaves out: if it is stored, it is removed."""

    key: str


Found = Listed | Unlistable | Gone


@dataclass(frozen=True, slots=True)
class Wanted:
    """A row to fetch, with the validator that its last good version was stored with, if there is one."""

    row: Listed
    known: str | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """The bytes of one row."""

    content: bytes
    validator: str | None  # measured around the read, so that equality later proves these bytes. None: fetch and compare again next time
    filename: str | None = None  # its ending helps to tell what the bytes are
    media_type: str | None = None  # what the source says the bytes are; None where it does not say
    title: str | None = None  # the source's own title for the row; goes before one found in the text
    url: str | None = None
    select: tuple[str, ...] = ()  # CSS selectors of what to take of an HTML page, none: its main content,
    remove: tuple[str, ...] = ()  # and of what to take away before


class Unchanged(Enum):
    """The type of `UNCHANGED`."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED  # the source vouches that the row is what it was at `Wanted.known`
Outcome = Fetched | Literal[Unchanged.UNCHANGED] | RowError


class Source(ABC):
    """One data source, opened for one sync. Not used by two syncs; `fetch` may be called by several tasks at once, while listing goes on."""

    complete: bool = False  # True once the listing has ended and named every row: those that it did not name are gone at the source
    # Once the listing has ended: where the next one can go on. Text without NUL of at most LONGEST_CURSOR characters; a longer one is not kept.
    cursor: str | None = None
    # Once the listing has ended: what it left out although the source has it, for a bound of the connector's, in sentences that say what to do. They stand on
    # the sync and on its data source.
    warnings: Sequence[str] = ()
    row_seconds: ClassVar[float | None] = None  # that a row may take until it counts as stalled; None: a minute

    @abstractmethod
    def list_rows(self) -> AsyncIterator[Sequence[Listed | Unlistable]]:
        """Every row, in batches of at most a few hundred, each row once; memory does not grow with the source."""

    async def find_rows(self, targets: Targets) -> Sequence[Found] | None:  # noqa: ARG002 - those who can, look
        """What the source has of these few rows; a target may name none or several. None where it can't say so of one of them: then the whole source is
        listed. `SourceUnreachable` or `SourceRejected` rather than `Gone` where it is the source that is not to be had."""
        return None

    @abstractmethod
    async def fetch(self, wanted: Sequence[Wanted]) -> list[Outcome]:
        """What became of each wanted row, in the same order. `in_batches` makes batches of a fitting size. A sync has few calls under way at once: a source
        that is waited for asks for the rows of one batch together, as many at a time as its place may be asked."""

    async def aclose(self) -> None:
        """Lets go of what is open; also after a listing that was not gone through to its end."""
        return

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()


class Connector(ABC, Generic[ConfigT]):
    """One kind of data source. It has no state; `registry` holds one of each."""

    kind: ClassVar[str]
    title: ClassVar[str]
    description: ClassVar[str]  # what it syncs, in a sentence
    sees_changes: ClassVar[str] = ""  # how it tells what has changed without reading it all; these four are for the table of docs/connectors.md
    looks_up: ClassVar[str] = "None: the whole source is listed."  # which rows that somebody names it finds without listing all (`Source.find_rows`)
    cannot: ClassVar[str] = ""  # what one might expect of it, and it does not do
    tried: ClassVar[str] = ""  # against what it was tried
    config_type: ClassVar[type[Config]]
    secret_fields: ClassVar[frozenset[str]] = frozenset()  # members of the config (`token`, `options.secret`) that are sealed at rest and masked when shown

    @property
    def config_schema(self) -> dict[str, Any]:
        """The JSON Schema of the config."""
        return self.config_type.model_json_schema()

    def parse(self, config: object) -> ConfigT:
        """The config, checked by itself; `Invalid` names each wrong member as `config.NAME`."""
        if not isinstance(config, Mapping):
            raise Invalid(FieldError("config", "It has to be an object."))
        try:
            return self.config_type.model_validate(dict(config))  # type: ignore[return-value]  # config_type is ConfigT's class; ClassVar can't say so
        except ValidationError as error:
            raise Invalid(*(_field_error(detail, self) for detail in error.errors(include_url=False, include_input=False))) from None

    async def check(self, config: ConfigT, context: SourceContext) -> None:
        """Raises `Invalid` naming `config.*` where this config can't work here; asked when a data source is created or its config changes."""

    def text_settings(self, config: ConfigT) -> tuple[str, ...]:  # noqa: ARG002 - most kinds have none
        """Those settings that touch the text of rows. Others than those with which a row was stored make it count as unseen."""
        return ()

    @abstractmethod
    async def open(self, config: ConfigT, context: SourceContext) -> Source:
        """The source, ready to be listed; `SourceUnreachable` or `SourceRejected` where it can't be had."""


def _field_error(detail: Mapping[str, Any], connector: "Connector[Any]") -> FieldError:
    field = ".".join(("config", *map(str, detail["loc"])))
    if detail["type"] == "extra_forbidden" and len(detail["loc"]) == 1:
        known = ", ".join(connector.config_type.model_fields) or "no members at all"
        return FieldError(field, f"A data source of type {connector.kind} does not know this; its config takes: {known}.")
    message = sentence_of(detail)
    return FieldError(field, message if message.endswith(".") else f"{message}.")


def fetch_carried(wanted: Sequence[Wanted]) -> list[Outcome]:
    """`Source.fetch` for a source that lists `Carried` rows."""
    return [_carried(one.row) for one in wanted]


def _carried(row: Listed) -> Outcome:
    assert isinstance(row, Carried)
    if isinstance(row.content, RowError):
        return row.content
    return Fetched(row.content, row.validator, row.filename, row.media_type, row.title, row.url)


async def one_by_one(fetch_row: Callable[[Wanted], Awaitable[Outcome]], wanted: Sequence[Wanted]) -> list[Outcome]:
    """`Source.fetch` for a source that is asked about each row by itself: a `RowError` that `fetch_row` raises is that row's outcome."""
    return await several_at_once(fetch_row, wanted, 1)


async def several_at_once(fetch_row: Callable[[Wanted], Awaitable[Outcome]], wanted: Sequence[Wanted], most: int) -> list[Outcome]:
    """The same, for one that is waited for and may be asked about `most` rows at a time. What else is raised ends what is under way."""
    slots = asyncio.Semaphore(most)

    async def outcome(one: Wanted) -> Outcome:
        async with slots:
            try:
                return await fetch_row(one)
            except RowError as error:
                return error

    asked = [asyncio.ensure_future(outcome(one)) for one in wanted]
    try:
        return list(await asyncio.gather(*asked))
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


def storable(text: str) -> str:
    """The text without NUL, and with question marks for lone surrogates: databases take neither."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def in_batches(wanted: Iterable[Wanted], rows: int = BATCH_ROWS, size: int = BATCH_BYTES) -> Iterator[list[Wanted]]:
    """The wanted rows in order, in batches of at most `rows` rows and, but for a batch of one, `size` bytes, so that small rows share the cost of a
    hop between threads and large ones do not fill the memory."""
    batch: list[Wanted] = []
    total = 0
    for one in wanted:
        weight = SIZE_GUESSED if one.row.size is None else one.row.size
        if batch and (len(batch) == rows or total + weight > size):
            yield batch
            batch, total = [], 0
        batch.append(one)
        total += weight
    if batch:
        yield batch
