"""What every test can ask for: a home, a fresh database of either kind, settings that name both.

    def test_something(database_url, home): ...      # runs twice, once on SQLite and once on PostgreSQL
    async def test_other(database): ...              # the same, with the database open
    async def test_third(settings): ...              # the same, as Settings

And two rules: no setting leaks in, no packet leaks out.
"""

import contextlib
import ipaddress
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from tests.postgres import Keeper, NoPostgres, create_database, drop_database, empty_database, postgres_server, schema_of

if TYPE_CHECKING:
    from tidings.settings import Settings
    from tidings.store.database import Database

KEEPER = "POSTGRES_KEEPER_OF_THE_TESTS"
SQLITE_FILE = "tidings.sqlite"

_until_the_end = contextlib.ExitStack()

hypothesis.settings.register_profile("tests", deadline=None, print_blob=True)  # no deadline: a busy machine is not a mistake
hypothesis.settings.load_profile("tests")


def pytest_configure(config: pytest.Config) -> None:
    """One PostgreSQL for the whole run, kept by the process that was started first; the workers of xdist find it by the environment."""
    if not hasattr(config, "workerinput"):
        os.environ[KEEPER] = str(_until_the_end.enter_context(postgres_server()).folder)
    for name in [name for name in os.environ if name.startswith(("TIDINGS_", "PG"))]:
        del os.environ[name]  # what the developer set for a server of their own
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # every process that a test starts would compile all libraries again, for seconds
    sys.addaudithook(_only_loopback)


def pytest_unconfigure() -> None:
    """The PostgreSQL ends with the run; were the run killed, it would end by itself."""
    _until_the_end.close()


def _only_loopback(event: str, arguments: tuple[Any, ...]) -> None:
    """No test speaks to another machine, and none asks a name server: a guard that fails is seen, and harms nobody.

    Python raises these events for every socket of its own, those of asyncio among them. uvloop raises them where it is given a socket, as by
    `sock_connect`; what it opens by itself, as in `create_connection` with a host, it opens in C and unseen. So tests run on asyncio's loop.
    """
    if event in {"socket.connect", "socket.sendto", "socket.sendmsg"} and isinstance(address := arguments[1], tuple) and not _is_here(address[0]):
        raise RuntimeError(f"A test tried to reach {address[0]}; tests speak to this machine only.")
    if event in {"socket.getaddrinfo", "socket.gethostbyname"} and not _is_here(arguments[0]):
        raise socket.gaierror(socket.EAI_NONAME, f"A test looked up {arguments[0]!r}; tests have no name server.")


def _is_here(host: str | bytes | None) -> bool:
    """Whether this is loopback, or the wildcard that one listens on."""
    text = host.decode() if isinstance(host, bytes) else host or "localhost"
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text == "localhost"
    return address.is_loopback or address.is_unspecified


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, which is also `TIDINGS_HOME` while the test runs."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("TIDINGS_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """The PostgreSQL of this run: the address of its first database, as its superuser."""
    try:
        return Keeper(Path(os.environ[KEEPER])).url()
    except NoPostgres as error:
        pytest.exit(str(error), returncode=1)


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the schema and nothing in it."""
    folder = tmp_path_factory.mktemp("template")
    _migrate(folder, None)
    return folder / SQLITE_FILE


@pytest.fixture(scope="session")
def _migrated_postgres(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Any]]:
    """The name of a PostgreSQL database with the schema and nothing in it, and what its schema is known by."""
    url = create_database(postgres_url)
    _migrate(tmp_path_factory.mktemp("template"), url)
    return url.rpartition("/")[2], schema_of(url)


@pytest.fixture(scope="session")
def _empty_postgres() -> list[str]:
    """The addresses of such databases: tests have used them, and they were emptied since."""
    return []


def _migrate(home: Path, database_url: str | None) -> None:
    from tidings.settings import load_settings
    from tidings.store.database import open_database

    with contextlib.closing(open_database(load_settings(home=home, database_url=database_url))) as database:
        database.migrate()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, home: Path) -> Iterator[str | None]:
    """A database with the schema and nothing in it; `None` is the SQLite file in `home`. The test runs once on each kind."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("_migrated_sqlite"), home / SQLITE_FILE)
        yield None
        return
    server, (template, schema), empty = (request.getfixturevalue(name) for name in ("postgres_url", "_migrated_postgres", "_empty_postgres"))
    url = empty.pop() if empty else create_database(server, template)
    yield url
    if empty_database(url, schema):
        empty.append(url)
    else:
        drop_database(server, url)


@pytest.fixture(params=["sqlite", "postgresql"])
def blank_database_url(request: pytest.FixtureRequest, home: Path) -> Iterator[str | None]:
    """A database without a schema; `None` is the SQLite file in `home`, which is not there yet. The test runs once on each kind."""
    if request.param == "sqlite":
        yield None
    else:
        server = request.getfixturevalue("postgres_url")
        url = create_database(server)
        yield url
        drop_database(server, url)


@pytest.fixture
def settings(home: Path, database_url: str | None) -> "Settings":
    """The defaults, with `home` and `database_url`. The test runs once on each kind of database."""
    from tidings.settings import load_settings

    return load_settings(home=home, database_url=database_url)


@pytest.fixture
async def database(settings: "Settings") -> "AsyncIterator[Database]":
    """A database with the schema and nothing in it, open. The test runs once on each kind."""
    from tidings.store.database import open_database

    with contextlib.closing(open_database(settings)) as database:
        yield database
