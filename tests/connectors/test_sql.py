"""The kind `sql` over real databases: what it may read, that it only reads, and how it goes on from a cursor."""

import contextlib
import secrets
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from tests.connectors.behaviours import Behaviours, Lack, Place
from tests.connectors.local_files import rows_of
from tests.postgres import create_database, drop_database
from tidings.connectors import sql as tuning
from tidings.connectors.base import Carried, Fetched, Listed, Source, SourceContext, Unlistable, Wanted
from tidings.connectors.sql import SqlConnector
from tidings.errors import Invalid, SourceError, SourceRejected, SourceUnreachable
from tidings.outbound import Outbound
from tidings.settings import Settings

GATE = 7  # the advisory lock at which rows are kept waiting
TABLE = """
CREATE TABLE pages (name text PRIMARY KEY, body text);
CREATE TABLE gate (first text);
INSERT INTO gate VALUES ('~');
CREATE FUNCTION passed(name text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$ BEGIN
  IF name >= (SELECT first FROM gate) THEN PERFORM pg_advisory_xact_lock_shared(7); END IF;
  RETURN name;
END $$
"""


class PostgresPlace(Place):
    """A table of a PostgreSQL, read by an account of its own."""

    lacks: ClassVar[Mapping[Lack, str]] = {
        "knows unchanged rows": "without a cursor a query brings all rows each time; their hashes tell what has changed",
        "reads row by row": "the query brings the contents",
        "looks rows up": "the whole query is asked",
    }
    many: ClassVar[int] = 200
    part: ClassVar[int] = 150

    def __init__(self, url: str) -> None:
        super().__init__()
        self.connector = SqlConnector()
        self.admin = psycopg.connect(url, autocommit=True)
        self.holder = psycopg.connect(url, autocommit=True)
        self.elsewhere = f"{url.rpartition('/')[0]}/postgres"  # the server's first database
        self.host = f"127.0.0.1:{urlsplit(url).port}"
        self.role = f"reader_{secrets.token_hex(4)}"
        self.database = urlsplit(url).path[1:]
        self.run(TABLE)
        self.run(f"CREATE ROLE {self.role} LOGIN PASSWORD 'a secret of ours'; GRANT SELECT ON pages, gate TO {self.role}")
        self.config: Mapping[str, Any] = {
            "url": f"postgresql://{self.role}:a%20secret%20of%20ours@{self.host}/{self.database}",
            "query": "SELECT passed(name) AS name, body FROM (SELECT * FROM pages ORDER BY name) AS ordered",
            "key": "name",
            "text": "body",
            "title": "name",
        }

    def run(self, statement: str, *values: Any) -> None:
        self.admin.execute(statement.encode(), values or None)

    def close(self) -> None:
        self.run(f"DROP OWNED BY {self.role}; DROP ROLE {self.role}")
        self.admin.close()
        self.holder.close()

    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"sql_hosts": (self.host,), "max_file_mb": 0.01})

    @property
    def reads(self) -> list[str]:
        return []

    async def put(self, name: str, text: str) -> str:
        self.run("INSERT INTO pages VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET body = excluded.body", name, text)
        return name

    async def remove(self, name: str) -> None:
        self.run("DELETE FROM pages WHERE name = %s", name)

    async def spoil(self, name: str) -> None:
        self.run("UPDATE pages SET body = repeat('too long ', 10000) WHERE name = %s", name)

    async def take_down(self) -> None:
        with psycopg.connect(self.elsewhere, autocommit=True) as other:
            other.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(self.database)))

    async def bring_back(self) -> None:
        self.run(f'ALTER DATABASE "{self.database}" ALLOW_CONNECTIONS true')

    async def refuse(self) -> None:
        self.run(f"ALTER ROLE {self.role} NOLOGIN")

    async def hold(self, after: int = 0) -> None:
        self.run("UPDATE gate SET first = %s", f"page{after:04}")
        self.holder.execute("SELECT pg_advisory_lock(%s)", (GATE,))

    async def release(self) -> None:
        self.holder.execute("SELECT pg_advisory_unlock_all()")
        self.run("UPDATE gate SET first = '~'")

    @property
    def holding(self) -> bool:
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = %s)"
        found = self.admin.execute(waiting, (self.database,)).fetchone()
        return found is not None and found[0] > 0


class TestPostgres(Behaviours):
    @pytest.fixture
    def place(self, postgres_url: str) -> Iterator[Place]:
        with postgres(postgres_url) as place:
            yield place


@contextlib.contextmanager
def postgres(server: str) -> Iterator[PostgresPlace]:
    url = create_database(server)
    try:
        with contextlib.closing(PostgresPlace(url)) as place:
            yield place
    finally:
        drop_database(server, url)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "root" / "shop.db"
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(
            "CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT, about, changed TEXT);"
            "INSERT INTO goods VALUES (1, 'Kettle', 'It boils at 12:30.', '2026-01-01'), (2, 'Spoon', '<p>It stirs.</p>', '2026-01-02');"
        )
    return path


@contextlib.asynccontextmanager
async def opened(path: Path, query: str = "SELECT * FROM goods", cursor: str | None = None, **more: Any) -> AsyncIterator[Source]:
    context = SourceContext("x", Path("/nonexistent/home"), (path.parent,), 1000, Outbound(), cursor, ("127.0.0.1",))
    connector = SqlConnector()
    config = {"url": f"sqlite:///{path}", "query": query, "key": "id", "text": "about", **more}
    async with await connector.open(connector.parse(config), context) as source:
        yield source


async def read(path: Path, query: str = "SELECT * FROM goods", cursor: str | None = None, **more: Any) -> tuple[dict[str, Listed | Unlistable], Source]:
    async with opened(path, query, cursor, **more) as source:
        return await rows_of(source), source


def change(path: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(statement)
        database.commit()


async def test_rows_carry_their_contents_and_a_hash_as_validator(shop: Path) -> None:
    rows, source = await read(shop, "SELECT * FROM goods WHERE about NOT LIKE '10:30%' -- a comment: with a colon\n;", title="name")
    assert source.complete
    assert source.cursor is None
    kettle = rows["1"]
    assert isinstance(kettle, Carried)
    assert (kettle.title, kettle.content, kettle.size) == ("Kettle", b"It boils at 12:30.", 18)
    (got,) = await source.fetch([Wanted(kettle)])
    assert isinstance(got, Fetched)
    assert (got.content, got.title, got.validator) == (kettle.content, "Kettle", kettle.validator)
    change(shop, "UPDATE goods SET name = 'Pot' WHERE id = 1")
    after, _ = await read(shop, title="name")
    validators = [(one.validator if isinstance(one, Listed) else "") for one in (rows["1"], after["1"], rows["2"], after["2"])]
    assert validators[0] != validators[1], "a title is part of what a row is"
    assert validators[2] == validators[3]


async def test_with_a_cursor_only_what_is_new_is_listed(shop: Path) -> None:
    rows, source = await read(shop, cursor=None, title="name")
    first, source = await _since(shop, None)
    assert (set(first), source.complete) == ({"1", "2"}, True)
    change(shop, "INSERT INTO goods VALUES (0, 'Fork', 'The same day.', '2026-01-02'), (9, 'Knife', 'Later.', '2026-01-03')")
    second, source = await _since(shop, source.cursor)
    assert (set(second), source.complete) == ({"0", "2", "9"}, False)
    third, source = await _since(shop, source.cursor)
    assert set(third) == {"9"}
    assert second["2"] == first["2"]
    assert rows["1"] != first.get("9")


async def _since(shop: Path, cursor: str | None) -> tuple[dict[str, Listed | Unlistable], Source]:
    connector = SqlConnector()
    context = SourceContext("x", Path("/nonexistent/home"), (shop.parent,), 1000, Outbound(), cursor)
    config = {"url": f"sqlite:///{shop}", "query": "SELECT * FROM goods", "key": "id", "text": "about", "cursor": "changed"}
    async with await connector.open(connector.parse(config), context) as source:
        return await rows_of(source), source


async def test_odd_values(shop: Path) -> None:
    change(shop, "INSERT INTO goods VALUES (3, NULL, NULL, NULL), (4, 'x', x'ff00', NULL), (5, 'y', 12.5, NULL)")
    change(shop, "INSERT INTO goods VALUES (6, 'long', hex(zeroblob(501)), NULL)")
    rows, _ = await read(shop, title="name")
    contents = {key: row.content if isinstance(row, Carried) else row for key, row in rows.items()}
    assert (contents["3"], contents["4"], contents["5"]) == (b"", b"\xff\x00", b"12.5")
    assert isinstance(contents["6"], Unlistable)
    assert "larger than" in str(contents["6"].error)


async def test_rows_with_the_same_key_are_named(shop: Path) -> None:
    rows, source = await read(shop, "SELECT * FROM goods UNION ALL SELECT 1 + value % 2, '', 'again', '' FROM json_each(json_array(1, 2, 3, 4))")
    same = rows.pop("rows with the same id")
    assert isinstance(same, Unlistable)
    assert "4 rows have a value in it that another one has too, 2 for one" in str(same.error)
    assert [row.content for row in rows.values() if isinstance(row, Carried)] == [b"It boils at 12:30.", b"<p>It stirs.</p>"]
    assert source.complete


async def test_large_rows_travel_in_small_batches_and_small_ones_in_large_ones(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "BATCH_BYTES", 2_000)
    numbers = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n LIMIT 300)"
    async with opened(shop, f"{numbers} SELECT id, CASE WHEN id < 200 THEN 'x' ELSE hex(zeroblob(400)) END AS about FROM n") as source:  # noqa: S608 - of ours
        sizes = [[row.size or 0 for row in batch if isinstance(row, Listed)] async for batch in source.list_rows()]
    assert sum(map(len, sizes)) == 300
    assert max(map(len, sizes)) == 64
    assert max(len(batch) for batch in sizes if min(batch) == 800) == 2


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("SELECT NULL AS id, 'x' AS about", "The column id is empty in a row"),
        ("SELECT 1 AS id", "no such column"),
        ("SELECT * FROM nothing_here", "no such table"),
        ("SELECT 1 AS id, 2 AS about) AS found; DELETE FROM goods; --", "one statement"),
        ("WITH gone AS (DELETE FROM goods RETURNING *) SELECT * FROM gone", "syntax error"),
    ],
)
async def test_what_is_not_one_sensible_select_is_refused(query: str, why: str, shop: Path) -> None:
    with pytest.raises(SourceRejected, match=why):
        await read(shop, query)
    assert len((await read(shop))[0]) == 2


@pytest.mark.parametrize("query", ["", "DELETE FROM goods", "-- SELECT\nDROP TABLE goods", "PRAGMA query_only = off", "ATTACH 'x' AS y"])
def test_what_begins_like_no_select_is_refused_at_once(query: str) -> None:
    with pytest.raises(Invalid) as caught:
        SqlConnector().parse({"url": "sqlite:////srv/shop.db", "query": query, "key": "id", "text": "about"})
    assert [error.field for error in caught.value.errors] == ["config.query"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop",
        "oracle://db.example.com/shop",
        "mysql://db.example.com/",
        "mysql:///shop",
        "mysql+pymysql://db.example.com/shop",
        "mysql://db.example.com/shop?unix_socket=/run/mysqld/mysqld.sock",
        "mysql://db.example.com/shop?read_default_file=/root/.my.cnf",
        "mariadb://db.example.com/shop?sslmode=disable",
        "postgresql+asyncpg://db.example.com/shop",
        "sqlite://",
        "sqlite:///relative.db",
        "sqlite:////srv/shop.db?mode=rw",
        "sqlite:///:memory:",
        "postgresql:///shop",
        "postgresql:///shop?host=/var/run/postgresql",
        "postgresql://db.example.com,other.example.com/shop",
        "postgresql://db.example.com/shop?host=other.example.com",
        "postgresql://db.example.com/shop?hostaddr=10.0.0.1",
        "postgresql://db.example.com/shop?service=ours&passfile=/root/.pgpass",
        "postgresql://db.example.com/",
    ],
)
def test_an_address_that_could_lead_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(Invalid) as caught:
        SqlConnector().parse({"url": url, "query": "SELECT 1", "key": "id", "text": "about"})
    assert [error.field for error in caught.value.errors] == ["config.url"]


@pytest.mark.parametrize(
    ("url", "hosts", "said"),
    [
        ("postgresql://a:hush@DB.example.com/shop", ("db.example.com",), None),
        ("postgresql://db.example.com/shop", ("db.example.com:5432",), None),
        ("postgresql://db.example.com:5433/shop", ("db.example.com:5433", "other"), None),
        ("postgresql://[::1]:5433/shop", ("[::1]:5433",), None),
        ("postgresql://db.example.com:5433/shop", ("db.example.com:5432",), "TIDINGS_SQL_HOSTS does not name db.example.com"),
        ("postgresql://xdb.example.com/shop", ("db.example.com",), "TIDINGS_SQL_HOSTS does not name xdb.example.com"),
        ("postgresql://a:hush@db.example.com/shop", (), "No database may be read yet"),
        ("mysql://a:hush@db.example.com/shop", ("db.example.com:5432",), "TIDINGS_SQL_HOSTS does not name db.example.com"),
        ("mariadb://a:hush@db.example.com:3307/shop", ("db.example.com:3306",), "TIDINGS_SQL_HOSTS does not name db.example.com"),
        ("sqlite:////etc/shop.db", ("db.example.com",), "TIDINGS_LOCAL_ROOTS"),
        ("sqlite:////nonexistent/home/tidings.sqlite", (), "TIDINGS_LOCAL_ROOTS"),
    ],
)
async def test_a_database_needs_the_operators_word(url: str, hosts: tuple[str, ...], said: str | None) -> None:
    connector = SqlConnector()
    config = connector.parse({"url": url, "query": "SELECT 1", "key": "id", "text": "about"})
    context = SourceContext("x", Path("/nonexistent/home"), (Path("/srv"), Path("/nonexistent")), 1000, Outbound(), None, hosts)
    if said is None:
        await connector.check(config, context)
        return
    with pytest.raises(Invalid, match=said):
        await connector.check(config, context)
    with pytest.raises(SourceRejected, match=said) as caught:
        await connector.open(config, context)
    assert "hush" not in str(caught.value)


async def test_a_file_that_is_away_is_not_made(shop: Path) -> None:
    gone = shop.with_name("gone.db")
    with pytest.raises(SourceUnreachable, match="unable to open"):
        await read(gone)
    assert not gone.exists()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1 AS name, 2 AS body) AS found; DELETE FROM pages; --",
        "WITH gone AS (DELETE FROM pages RETURNING *) SELECT * FROM gone",
        "SELECT name, set_config('transaction_read_only', 'off', false) AS body FROM pages",
        "SELECT name, removed() AS body FROM pages",
    ],
)
async def test_postgresql_is_only_read(query: str, postgres_url: str) -> None:
    with postgres(postgres_url) as place:
        await place.put("a", "stays")
        place.run("CREATE FUNCTION removed() RETURNS text LANGUAGE plpgsql AS $$ BEGIN DELETE FROM pages; RETURN ''; END $$")
        place.run(f"GRANT ALL ON pages TO {place.role}")
        context = SourceContext("x", Path("/nonexistent"), (), 1000, Outbound(), None, (place.host,))
        config = place.connector.parse({**place.config, "query": query, "title": None})
        with pytest.raises(SourceError) as caught:
            async with await place.connector.open(config, context) as source:
                await rows_of(source)
        assert "a secret of ours" not in str(caught.value)
        assert place.admin.execute("SELECT count(*) FROM pages").fetchone() == (1,)


async def test_a_cursor_of_a_time_with_a_zone(postgres_url: str) -> None:
    with postgres(postgres_url) as place:
        place.run("ALTER TABLE pages ADD at timestamptz")
        place.run("INSERT INTO pages VALUES ('a', 'A', '2026-01-01 12:00+02'), ('b', 'B', '2026-01-01 12:00:00.000001+02'), ('c', 'C', NULL)")
        config = place.connector.parse({**place.config, "query": "SELECT * FROM pages", "cursor": "at"})
        seen: list[set[str]] = []
        cursor = None
        for _ in range(2):
            context = SourceContext("x", Path("/nonexistent"), (), 1000, Outbound(), cursor, (place.host,))
            async with await place.connector.open(config, context) as source:
                seen.append(set(await rows_of(source)))
                cursor = source.cursor
        assert seen == [{"a", "b", "c"}, {"b"}]
