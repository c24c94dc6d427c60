"""The kind `sql` over a real MariaDB, where one is installed: what every connector does, and that it only reads."""

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.connectors.behaviours import Behaviours, Lack, Place, until
from tests.connectors.local_files import rows_of
from tests.ports import free_port
from tidings.connectors.base import Carried, Listed, Source, SourceContext, Unlistable
from tidings.connectors.sql import SqlConnector
from tidings.errors import SourceError, SourceRejected
from tidings.outbound import Outbound
from tidings.settings import Settings

SERVER, INSTALL = shutil.which("mariadbd", path="/usr/sbin:/usr/bin:/usr/local/bin"), shutil.which("mariadb-install-db")
if SERVER is None or INSTALL is None:
    pytest.skip("MariaDB is not installed here (Debian's package mariadb-server)", allow_module_level=True)
pymysql = pytest.importorskip("pymysql", reason="the extra mysql is not installed")

PASSWORD = "a secret of ours"
SETUP = (
    "CREATE DATABASE shop CHARACTER SET utf8mb4",
    "CREATE TABLE shop.pages (name VARCHAR(200) PRIMARY KEY, body LONGTEXT, changed DATETIME(6))",
    "CREATE TABLE shop.gate (first VARCHAR(200))",
    "INSERT INTO shop.gate VALUES ('~')",
    """CREATE FUNCTION shop.passed(name VARCHAR(200)) RETURNS VARCHAR(200) READS SQL DATA BEGIN
       IF name >= (SELECT first FROM shop.gate) THEN DO GET_LOCK('gate', 300), RELEASE_LOCK('gate'); END IF; RETURN name; END""",
    "CREATE FUNCTION shop.emptied() RETURNS INT MODIFIES SQL DATA BEGIN DELETE FROM shop.pages; RETURN 1; END",
    f"CREATE USER reader@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'",
    "GRANT ALL ON shop.* TO reader@'127.0.0.1'",  # more than it needs: what it may do is not what keeps it from writing
)


class MariaDb:
    """A server of its own, on loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        command = [str(INSTALL), "--no-defaults", f"--datadir={folder}", "--auth-root-authentication-method=normal", "--skip-test-db", "--user=root"]
        subprocess.run(command, check=True, capture_output=True)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def _socket(self) -> str:
        return str(self.folder / "s")

    def start(self) -> None:
        at = [f"--datadir={self.folder}", f"--socket={self._socket}", f"--port={self.port}", "--bind-address=127.0.0.1", "--user=root"]
        small = ["--skip-log-bin", "--innodb-buffer-pool-size=16M", "--performance-schema=OFF", "--net-buffer-length=1024", "--skip-name-resolve"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([str(SERVER), "--no-defaults", *at, *small], stdout=log, stderr=log)

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(60)

    def connect(self) -> Any:
        return pymysql.connect(unix_socket=self._socket, user="root", autocommit=True)

    def answers(self) -> bool:
        if not Path(self._socket).exists():  # a try would leave a socket of the driver's open
            return False
        try:
            self.connect().close()
        except pymysql.err.OperationalError:
            return False
        return True


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    made = MariaDb(tmp_path_factory.mktemp("mariadb"))
    made.start()
    yield made
    made.stop()


class MariaDbPlace(Place):
    """A table of a MariaDB."""

    lacks: ClassVar[Mapping[Lack, str]] = {
        "knows unchanged rows": "without a cursor a query brings all rows each time; their hashes tell what has changed",
        "reads row by row": "the query brings the contents",
        "looks rows up": "the whole query is asked",
    }
    many: ClassVar[int] = 200
    part: ClassVar[int] = 150

    def __init__(self, server: MariaDb) -> None:
        super().__init__()
        self.server = server
        self.connector = SqlConnector()
        self.admin, self.holder = server.connect(), server.connect()
        for statement in ("DROP DATABASE IF EXISTS shop", "DROP USER IF EXISTS reader@'127.0.0.1'", *SETUP):
            self.run(statement)
        self.config: Mapping[str, Any] = {
            "url": f"mariadb://reader:a%20secret%20of%20ours@127.0.0.1:{server.port}/shop",
            "query": "SELECT passed(name) AS name, body FROM pages ORDER BY pages.name",
            "key": "name",
            "text": "body",
            "title": "name",
        }

    def run(self, statement: str, *values: Any) -> tuple[Any, ...]:
        with self.admin.cursor() as cursor:
            cursor.execute(statement, values or None)
            return tuple(cursor.fetchall())

    def close(self) -> None:
        for connection in (self.admin, self.holder):
            with contextlib.suppress(pymysql.err.Error):
                connection.close()

    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"sql_hosts": (f"127.0.0.1:{self.server.port}",), "max_file_mb": 0.01})

    @property
    def reads(self) -> list[str]:
        return []

    async def put(self, name: str, text: str) -> str:
        self.run("REPLACE INTO shop.pages VALUES (%s, %s, NOW(6))", name, text)
        return name

    async def remove(self, name: str) -> None:
        self.run("DELETE FROM shop.pages WHERE name = %s", name)

    async def spoil(self, name: str) -> None:
        self.run("UPDATE shop.pages SET body = REPEAT('too long ', 10000) WHERE name = %s", name)

    async def take_down(self) -> None:
        await asyncio.to_thread(self.server.stop)

    async def bring_back(self) -> None:
        self.server.start()
        await until(self.server.answers)
        self.admin, self.holder = self.server.connect(), self.server.connect()

    async def refuse(self) -> None:
        self.run("ALTER USER reader@'127.0.0.1' ACCOUNT LOCK")

    async def hold(self, after: int = 0) -> None:
        self.run("UPDATE shop.gate SET first = %s", f"page{after:04}")
        with self.holder.cursor() as cursor:
            cursor.execute("SELECT GET_LOCK('gate', 0)")

    async def release(self) -> None:
        with self.holder.cursor() as cursor:
            cursor.execute("SELECT RELEASE_ALL_LOCKS()")
        self.run("UPDATE shop.gate SET first = '~'")

    @property
    def waiting(self) -> int:
        return int(self.run("SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User lock'")[0][0])


@pytest.fixture
async def place(server: MariaDb) -> AsyncIterator[MariaDbPlace]:
    await until(server.answers)
    made = MariaDbPlace(server)
    yield made
    made.close()


class TestMariaDb(Behaviours):
    """`place` is the fixture above."""


async def read(place: MariaDbPlace, since: str | None = None, **config: Any) -> tuple[dict[str, Listed | Unlistable], Source]:
    connector = SqlConnector()
    context = SourceContext("x", Path("/nonexistent/home"), (), 1000, Outbound(), since, ("127.0.0.1",))
    async with await connector.open(connector.parse({**place.config, **config}), context) as source:
        return await rows_of(source), source


async def test_nothing_is_written_whatever_the_account_may(place: MariaDbPlace) -> None:
    await place.put("a", "Here it is.")
    for query in (
        "SELECT emptied() AS name, 'x' AS body",
        "SELECT 1 AS name, 2 AS body) AS found; DELETE FROM pages; --",
        "SELECT 1 AS name, 2 AS body INTO OUTFILE '/tmp/x'",
    ):
        with pytest.raises(SourceError) as caught:
            await read(place, query=query, title=None)
        assert isinstance(caught.value, SourceRejected)
        assert PASSWORD not in str(caught.value)
    assert place.run("SELECT COUNT(*) FROM shop.pages") == ((1,),)


async def test_texts_come_as_they_are_and_a_cursor_goes_on(place: MariaDbPlace) -> None:
    texts = {"ä 🦉": "Ein Käuzchen 🦉 ruft um 12:30, zu 100%.", "b": "", "bytes": "x"}
    for name, text in texts.items():
        await place.put(name, text)
    query = {"query": "SELECT * FROM pages WHERE body LIKE '%' -- all: 100%", "cursor": "changed"}
    rows, source = await read(place, **query)
    assert {key: row.content for key, row in rows.items() if isinstance(row, Carried)} == {key: text.encode() for key, text in texts.items()}
    await place.put("b", "Later.")
    later, _ = await read(place, source.cursor, **query)
    assert "b" in later
    assert "ä 🦉" not in later


async def test_a_listing_that_is_left_ends_its_query(place: MariaDbPlace) -> None:
    place.run("INSERT INTO shop.pages SELECT seq, REPEAT('x', 900), NOW(6) FROM mysql.seq_1_to_20000")
    connector = SqlConnector()
    context = SourceContext("x", Path("/nonexistent/home"), (), 1000, Outbound(), None, ("127.0.0.1",))
    async with await connector.open(connector.parse(place.config), context) as source:
        assert await anext(aiter(source.list_rows()))
    gone = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'reader'"
    await until(lambda: place.run(gone) == ((0,),))
