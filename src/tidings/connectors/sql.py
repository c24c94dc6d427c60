"""The kind `sql`: the rows that a query finds in somebody's database (`databases`): one SELECT, as a subquery, so that it can be nothing else."""

import asyncio
import hashlib
import json
import re
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, Field
from sqlalchemy import Connection, Engine, Select, Text, case, cast, column, func, literal, make_url, select, text
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from tidings.connectors.base import BATCH_BYTES, Carried, Config, Connector, Listed, Outcome, Source, SourceContext, Unlistable, Wanted, fetch_carried
from tidings.connectors.databases import begin, checked, engine_of, interrupt, objection
from tidings.connectors.reading import too_large
from tidings.errors import FieldError, Invalid, RowNotRead, SourceError, SourceRejected, SourceUnreachable

BATCH = 64  # rows that travel together, and less of them where they are large
LONGEST_KEY = 1_000  # characters
TWICE = (
    "The column {column} is to tell rows apart, and {times} rows have a value in it that another one has too, {key} for one. Of each the first was taken. "
    "Correct the query, or name another column as key."
)
DRIVER_SPEAKS = range(2000, 3000)  # the numbers of what goes wrong before MySQL or MariaDB answers


_BUSY = re.compile(
    r"starting up|shutting down|not currently accepting|shutdown|too many|terminat|timeout|database(?: \w+)? is locked|unable to open|disk I/O|busy|interrupt",
    re.IGNORECASE,
)
_TYPES: Final[Mapping[str, Any]] = {"int": int, "float": float, "str": str, "Decimal": Decimal, "datetime": datetime.fromisoformat, "date": date.fromisoformat}


def _one_select(query: str) -> str:
    query = query.strip().rstrip(";").rstrip()
    if not re.match(r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*(?:select|with|values|table)\b", query, re.IGNORECASE | re.DOTALL):
        raise ValueError("It has to be one SELECT")
    return query


Name = Annotated[str, Field(min_length=1, max_length=200)]


class SqlConfig(Config):
    """The settings of a `sql` data source."""

    url: Annotated[str, Field(max_length=2000), AfterValidator(checked)] = Field(
        description="The database as SQLAlchemy writes it: `postgresql://USER:PASSWORD@HOST/DATABASE`, `mysql://...` or `mariadb://...` "
        "(TIDINGS_SQL_HOSTS has to name the host), or "
        "`sqlite:////PATH` (below a folder that TIDINGS_LOCAL_ROOTS names). Kept as a secret. Give an account that may only read."
    )
    query: Annotated[str, Field(min_length=1, max_length=20_000), AfterValidator(_one_select)] = Field(description="One SELECT; each row it finds is a row.")
    key: Name = Field(description="The column that tells rows apart and stays the same.")
    text: Name = Field(description="The column with the text: plain, HTML, or bytes of a file.")
    title: Name | None = Field(None, description="The column with the title.")
    cursor: Name | None = Field(
        None,
        description="A column that only grows, such as a time of change: only rows from its last value on are asked for. Rows that were deleted are then "
        "not noticed until a sync with `force`.",
    )


class SqlConnector(Connector[SqlConfig]):
    """Rows of a query."""

    kind: ClassVar[str] = "sql"
    title: ClassVar[str] = "SQL"
    description: ClassVar[str] = "The rows that a query finds in a PostgreSQL, MySQL, MariaDB or SQLite database."
    sees_changes: ClassVar[str] = "All rows are read, and a hash of each decides; with a `cursor` column only those from its last value on."
    cannot: ClassVar[str] = "With a `cursor`, notice deleted rows before a sync with `force`. Other databases than these."
    tried: ClassVar[str] = "PostgreSQL, MariaDB and SQLite, live; MySQL itself never."
    config_type: ClassVar[type[Config]] = SqlConfig
    secret_fields: ClassVar[frozenset[str]] = frozenset({"url"})

    async def check(self, config: SqlConfig, context: SourceContext) -> None:
        """The host or the file has to be allowed."""
        if refused := objection(make_url(config.url), context):
            raise Invalid(FieldError("config.url", refused))

    async def open(self, config: SqlConfig, context: SourceContext) -> "SqlSource":
        """Whether it is allowed is asked again for each sync."""
        url = make_url(config.url)
        if refused := objection(url, context):
            raise SourceRejected(f"The database can't be read. {refused}")
        return SqlSource(engine_of(url, context), config, context.cursor, context.max_file_bytes)


class SqlSource(Source):
    """What the query finds, over one connection. Whatever waits for the database runs in threads, one at a time."""

    def __init__(self, engine: Engine, config: SqlConfig, since: str | None, limit: int) -> None:
        self.cursor = since
        self._engine = engine
        self._config = config
        self._since = since
        self._limit = limit
        self._lock = threading.Lock()
        self._closed = False
        self._keys: set[int] = set()  # hashes of those that were listed; 70 bytes each
        self._again: tuple[str, int] | None = None  # the first key that came twice, and how many did
        self._flowing = False  # MySQL and MariaDB send rows unasked, until the query ends
        self._connection: Connection | None = None
        self._rows: Iterator[Sequence[Any]] = self._batches()

    async def list_rows(self) -> AsyncIterator[Sequence[Listed | Unlistable]]:
        """The rows with their contents."""
        while batch := await asyncio.to_thread(self._next):
            rows = [self._row(*row) for row in batch]
            yield [row for row in rows if not self._is_listed(row.key)]
        if self._again is not None:
            key, times = self._again
            yield [Unlistable(f"rows with the same {self._config.key}", RowNotRead(TWICE.format(column=self._config.key, key=key[:100], times=times)))]
        self.complete = self._since is None  # else it was asked for a part of them

    async def fetch(self, wanted: Sequence[Wanted]) -> list[Outcome]:
        """They came with the listing."""
        return fetch_carried(wanted)

    async def aclose(self) -> None:
        """Ends a query that still runs, and the connection."""
        self._closed = True
        connection = self._connection
        if connection is not None and (self._lock.locked() or self._flowing):
            with suppress(SQLAlchemyError):  # it is over already
                await asyncio.to_thread(interrupt, self._engine, connection)
        await asyncio.to_thread(self._close)

    def _is_listed(self, key: str) -> bool:
        """Whether a row with this key came before; else it is one from now on."""
        if (mark := hash(key)) in self._keys:
            self._again = (key, 1) if self._again is None else (self._again[0], self._again[1] + 1)
            return True
        self._keys.add(mark)
        return False

    def _next(self) -> Sequence[Any]:
        with self._lock:
            try:
                return () if self._closed else next(self._rows, ())
            except DBAPIError as error:
                raise _source_error(error, self._engine.url.password) from error

    def _close(self) -> None:
        with self._lock:
            if self._flowing:  # takes what was on its way when the query was ended: the driver could not close before
                with suppress(DBAPIError):
                    for _ in self._rows:
                        pass
            if self._connection is not None:
                self._connection.close()
            self._engine.dispose()

    def _batches(self) -> Iterator[Sequence[Any]]:
        self._connection = self._engine.connect()
        begin(self._connection)
        streaming = {"stream_results": True, "yield_per": 1}
        found: Any = self._connection.execute(_statement(self._config, self._since, self._limit, self._engine.dialect.name), execution_options=streaming)
        self._flowing = self._engine.dialect.name == "mysql"
        rows = 1
        while batch := found.fetchmany(rows):
            yield batch
            largest = max(length or 0 for _, _, length, _, _ in batch)
            rows = max(1, min(BATCH, 2 * rows, BATCH_BYTES // (largest or 1)))
            found.yield_per(rows)
        self._flowing = False

    def _row(self, key: Any, content: Any, length: int | None, title: Any, at: Any) -> Listed | Unlistable:
        name = "" if key is None else str(key)
        if not name or "\0" in name:
            raise SourceRejected(f"The column {self._config.key} is empty in a row, so the row has no key. Correct the query, or name another column.")
        if len(name) > LONGEST_KEY:
            return Unlistable(name[:LONGEST_KEY], RowNotRead(f"Its key is longer than {LONGEST_KEY} characters. Name another column as key."))
        if at is not None:
            self.cursor = _written(at, self._config.cursor)
        heading = None if title is None else str(title)[:LONGEST_KEY]
        if length is not None and length > self._limit:
            return Unlistable(name, too_large(self._limit))
        body = _bytes(content)
        mark = hashlib.sha256(f"{heading!r}\0".encode("utf-8", "replace") + body).hexdigest()[:32]
        return Carried(name, mark, heading, size=len(body), content=body)


def _statement(config: SqlConfig, since: str | None, limit: int, database: str) -> Select[Any]:
    """The query as a subquery: then it can be nothing but one SELECT. What is longer than `limit` characters stays where it is."""
    nothing = literal(None)
    query = text(config.query.replace(":", "\\:") + "\n")  # no colon in it is a parameter; a comment may stand at its end
    given = query.columns(*(column(name) for name in dict.fromkeys(filter(None, (config.key, config.text, config.title, config.cursor))))).subquery("found")
    body, at = given.c[config.text], None if config.cursor is None else given.c[config.cursor]
    length = func.length(body if database == "mysql" else cast(body, Text))  # MySQL counts bytes of whatever it is
    heading = nothing if config.title is None else given.c[config.title]
    wanted = select(given.c[config.key], case((length > limit, None), else_=body), length, heading, nothing if at is None else at)
    if at is None:
        return wanted
    if since is not None:
        wanted = wanted.where(at >= _read(since))  # not >: another row may have been given the same value since
    return wanted.order_by(at)


def _bytes(content: Any) -> bytes:
    if isinstance(content, bytes | bytearray | memoryview):
        return bytes(content)
    if isinstance(content, dict | list):
        return json.dumps(content, ensure_ascii=False, indent=1).encode()
    return b"" if content is None else str(content).encode("utf-8", "replace")


def _written(value: Any, name: str | None) -> str:
    """A value of the cursor column as text. SourceRejected where it is of a type that can't be gone on from."""
    kind = type(value).__name__
    if kind not in _TYPES:
        raise SourceRejected(f"The column {name} holds {kind}, which can't be a cursor. Name a column with numbers, times or texts, or none.")
    return json.dumps([kind, value.isoformat() if isinstance(value, date) else str(value)])


def _read(cursor: str) -> Any:
    kind, value = json.loads(cursor)
    return _TYPES[kind](value)


def _source_error(error: DBAPIError, password: object) -> SourceError:
    """What the driver said, as a sentence without the password."""
    number, told = error.orig.args if error.orig is not None and len(error.orig.args) == 2 else (None, error.orig)  # as the driver for MySQL has it
    said = (str(told).strip().splitlines() or ["no reason given"])[0][:500].rstrip(".")
    if password:
        said = said.replace(str(password), "********")
    answered = "FATAL" in said or isinstance(error.orig, sqlite3.Error) or not isinstance(error, OperationalError)
    answered = answered if number is None else number not in DRIVER_SPEAKS
    if answered and not _BUSY.search(said):
        return SourceRejected(f"The database refuses this: {said}. Correct the query or the address, or give the account the right to read.")
    return SourceUnreachable(f"The database can't be read now: {said}. No rows were removed. Sync again when it answers.")
