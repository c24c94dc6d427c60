"""What a store function gets in its hands: one transaction, on either database.

A transaction is a plain function of `tx`, so no network call can slip into one, and there are no async twins.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import CTE, Connection, CursorResult, Executable, Row, bindparam, column, values
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

Dialect = Literal["sqlite", "postgresql"]
Params = Mapping[str, Any]
AnyRow = Row[*tuple[Any, ...]]


class Hot:
    """A statement of a hot path: written in Core, compiled once per dialect, run on the driver itself.

    Values pass to the driver as they are: no JSON columns, no `IN` lists, no column defaults.
    """

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, tuple[str, ...] | None, dict[str, Any]]] = {}

    def prepared(self, connection: Connection) -> tuple[str, tuple[str, ...] | None, dict[str, Any]]:
        """(SQL text, order of the parameters or None where they go by name, values already bound)."""
        found = self._compiled.get(connection.dialect.name)
        if found is None:
            compiled = self._statement.compile(dialect=connection.dialect)  # type: ignore[attr-defined]
            assert isinstance(compiled, SQLCompiler)
            order = tuple(compiled.positiontup) if compiled.positiontup is not None else None
            bound = {name: bind.effective_value for bind, name in compiled.bind_names.items() if not bind.required}
            found = self._compiled[connection.dialect.name] = (str(compiled), order, bound)
        return found


class HotRows:
    """The same over several rows of values at once, so that the database is asked once and not once a row.

    `build` makes the statement of a table expression with these columns. It is compiled once for each size, of which there are few.
    """

    SIZES = (64, 16, 4, 1)

    def __init__(self, columns: Mapping[str, TypeEngine[Any]], build: Callable[[CTE], Executable]) -> None:
        self.columns = columns
        self._build = build
        self._sized: dict[int, Hot] = {}

    def of(self, size: int) -> Hot:
        """The statement for so many rows, their values bound as `name_0`, `name_1` and so on."""
        if size not in self._sized:
            rows = [tuple(bindparam(f"{name}_{n}", type_=type_) for name, type_ in self.columns.items()) for n in range(size)]
            self._sized[size] = Hot(self._build(values(*(column(name, type_) for name, type_ in self.columns.items()), name="given").data(rows).cte("given")))
        return self._sized[size]


class Tx:
    """One transaction. Whoever made it commits; after that, those who wait for what was woken are told."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        driver = connection.connection.dbapi_connection
        assert driver is not None
        self._driver: Any = driver
        self.dialect: Dialect = "sqlite" if connection.dialect.name == "sqlite" else "postgresql"
        self.woken: set[str] = set()

    def execute(self, statement: Executable, params: Params | Sequence[Params] | None = None) -> CursorResult[*tuple[Any, ...]]:
        """Runs a Core statement."""
        return self._connection.execute(statement, params)

    def hot(self, statement: Hot, **params: Any) -> list[tuple[Any, ...]]:
        """Runs a prepared statement; the rows that it returns, or an empty list."""
        sql, order, bound = statement.prepared(self._connection)
        values = {**bound, **params}
        cursor = self._driver.execute(sql, values if order is None else [values[name] for name in order])
        return cursor.fetchall() if cursor.description is not None else []

    def hot_count(self, statement: Hot, **params: Any) -> int:
        """Runs a prepared statement; how many rows it changed."""
        sql, order, bound = statement.prepared(self._connection)
        values = {**bound, **params}
        return int(self._driver.execute(sql, values if order is None else [values[name] for name in order]).rowcount)

    def hot_many(self, statement: Hot, params: Iterable[Params]) -> None:
        """Runs a prepared statement once for each set of parameters."""
        sql, order, bound = statement.prepared(self._connection)
        if order is None:
            self._driver.cursor().executemany(sql, [{**bound, **each} for each in params])
        else:
            self._driver.executemany(sql, [[each[name] if name in each else bound[name] for name in order] for each in params])

    def hot_rows(self, statement: HotRows, rows: Sequence[Params]) -> list[tuple[Any, ...]]:
        """Runs a prepared statement over all of `rows`; what it returns."""
        found, begin = [], 0
        while begin < len(rows):
            size = next(size for size in statement.SIZES if size <= len(rows) - begin)
            some = rows[begin : begin + size]
            found += self.hot(statement.of(size), **{f"{name}_{n}": row[name] for n, row in enumerate(some) for name in statement.columns})
            begin += size
        return found

    def wake(self, what: str) -> None:
        """Wakes, once this is committed, everybody who waits for `what`, in every process."""
        self.woken.add(what)
