"""What a store function gets in its hands: one transaction, on either database.

A transaction is a plain function of `tx`, so no network call can slip into one, and there are no async twins.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import CTE, Column, Connection, CursorResult, Executable, Row, Table, bindparam, column, func, insert, select, values
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

Dialect = Literal["sqlite", "postgresql"]
Params = Mapping[str, Any]
AnyRow = Row[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement in one dialect. `order` of its parameters, None where they go by name; the values that are `bound` already; whether it `returns` rows."""

    sql: str
    order: tuple[str, ...] | None
    bound: dict[str, Any]
    returns: bool

    def values(self, params: Params) -> Any:
        """The parameters of one run, as the driver takes them."""
        values = {**self.bound, **params} if self.bound else params
        return values if self.order is None else [values[name] for name in self.order]


class Hot:
    """A statement of a hot path: written in Core, compiled once per dialect, run on the driver itself.

    Values pass to the driver as they are: no JSON columns, no `IN` lists, no column defaults.
    """

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._compiled: dict[str, Prepared] = {}

    def prepared(self, connection: Connection) -> Prepared:
        """What the driver is given."""
        found = self._compiled.get(connection.dialect.name)
        if found is None:
            compiled = self._statement.compile(dialect=connection.dialect)  # type: ignore[attr-defined]
            assert isinstance(compiled, SQLCompiler)
            order = tuple(compiled.positiontup) if compiled.positiontup is not None else None
            bound = {name: bind.effective_value for bind, name in compiled.bind_names.items() if not bind.required}
            returns = self._statement.is_select or bool(compiled.effective_returning)
            found = self._compiled[connection.dialect.name] = Prepared(str(compiled), order, bound, returns)
        return found


@dataclass(frozen=True, slots=True)
class Sized:
    """A statement over a number of rows. `takes`: for each of its parameters, its place among all values of all rows, or its name where it is one of the
    statement as a whole; None where they are just all values in their order."""

    prepared: Prepared
    takes: tuple[int | str, ...] | None

    def values(self, given: list[Any], params: Params) -> list[Any]:
        """The parameters of one run, as the driver takes them."""
        if self.takes is None:
            return given
        named = {**self.prepared.bound, **params}
        return [given[take] if isinstance(take, int) else named[take] for take in self.takes]


class HotRows:
    """The same over several rows of values at once, so that the database is asked once and not once a row.

    `build` makes the statement of a table expression with these columns. PostgreSQL takes each column as one array; for SQLite the statement is
    compiled once for each size, of which there are few.
    """

    SIZES = (64, 16, 4, 1)

    def __init__(self, columns: Mapping[str, TypeEngine[Any]], build: Callable[[CTE], Executable]) -> None:
        self.columns = columns
        self._build = build
        self._sized: dict[int, Sized] = {}
        arrays = func.unnest(*(bindparam(name, type_=ARRAY(type_)) for name, type_ in columns.items()))
        table = arrays.table_valued(*(column(name, type_) for name, type_ in columns.items()), name="arrays").render_derived()
        self.of_arrays = Hot(build(select(table).cte("given")))

    def of(self, size: int, connection: Connection) -> Sized:
        """The statement for so many rows on SQLite."""
        if size not in self._sized:
            names = [f"{name}_{n}" for n in range(size) for name in self.columns]
            rows = [tuple(bindparam(f"{name}_{n}", type_=type_) for name, type_ in self.columns.items()) for n in range(size)]
            given = values(*(column(name, type_) for name, type_ in self.columns.items()), name="given").data(rows).cte("given")
            prepared = Hot(self._build(given)).prepared(connection)
            assert prepared.order is not None
            places = {name: place for place, name in enumerate(names)}
            takes = tuple(places.get(name, name) for name in prepared.order)
            self._sized[size] = Sized(prepared, None if takes == tuple(range(len(names))) else takes)
        return self._sized[size]


def insert_rows(table: Table, *returning: Column[Any], without: Collection[str] = ("n",)) -> HotRows:
    """Adds rows to a table, all of its columns given but those `without`, which take their defaults; returns these columns of what was added."""
    names = [column.name for column in table.c if column.name not in without]

    def statement(given: CTE) -> Executable:
        adding = insert(table).from_select(names, select(given))
        return adding.returning(*returning) if returning else adding

    return HotRows({name: table.c[name].type for name in names}, statement)


class Tx:
    """One transaction. Whoever made it commits; after that, those who wait for what was woken are told."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        driver = connection.connection.dbapi_connection
        assert driver is not None
        self._cursor: Any = driver.cursor()  # for all that is prepared: psycopg takes as long to make one as to run a statement
        self.dialect: Dialect = "sqlite" if connection.dialect.name == "sqlite" else "postgresql"
        self.woken: set[str] = set()

    def execute(self, statement: Executable, params: Params | Sequence[Params] | None = None) -> CursorResult[*tuple[Any, ...]]:
        """Runs a Core statement."""
        return self._connection.execute(statement, params)

    def hot(self, statement: Hot, **params: Any) -> list[tuple[Any, ...]]:
        """Runs a prepared statement; the rows that it returns, or an empty list."""
        prepared = statement.prepared(self._connection)
        self._cursor.execute(prepared.sql, prepared.values(params))
        return self._cursor.fetchall() if prepared.returns else []

    def hot_count(self, statement: Hot, **params: Any) -> int:
        """Runs a prepared statement; how many rows it changed."""
        prepared = statement.prepared(self._connection)
        self._cursor.execute(prepared.sql, prepared.values(params))
        return int(self._cursor.rowcount)

    def hot_many(self, statement: Hot, params: Iterable[Params]) -> None:
        """Runs a prepared statement once for each set of parameters."""
        prepared = statement.prepared(self._connection)
        self._cursor.executemany(prepared.sql, [prepared.values(each) for each in params])

    def hot_rows(self, statement: HotRows, rows: Sequence[Params], **params: Any) -> list[tuple[Any, ...]]:
        """Runs a prepared statement over all of `rows`; what it returns. `params`: of the statement as a whole."""
        if not rows:
            return []
        if self.dialect == "postgresql":
            return self.hot(statement.of_arrays, **params, **{name: [row[name] for row in rows] for name in statement.columns})
        found, begin = [], 0
        while begin < len(rows):
            size = next(size for size in statement.SIZES if size <= len(rows) - begin)
            sized = statement.of(size, self._connection)
            given = [row[name] for row in rows[begin : begin + size] for name in statement.columns]
            self._cursor.execute(sized.prepared.sql, sized.values(given, params))
            found += self._cursor.fetchall()
            begin += size
        return found

    def wake(self, what: str) -> None:
        """Wakes, once this is committed, everybody who waits for `what`, in every process."""
        self.woken.add(what)
