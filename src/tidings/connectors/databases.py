"""The databases that the kind `sql` reads: which addresses may be named, and connections that only read.

Drivers open connections of their own, past the guard of the door, so a host needs the operator's word (`TIDINGS_SQL_HOSTS`), and a file of SQLite has to lie
under a local root. Nothing but reading: a transaction that is read only, with a limit on the time of a statement.
"""

import re
import sqlite3
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from tidings.connectors.base import SourceContext
from tidings.connectors.bounds import bounds_of

CONNECT_SECONDS = 10
STATEMENT_SECONDS = 300
VERIFIED = "verify-full"  # TLS with a server whose certificate names it

PORTS: Mapping[str, int] = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}
# Others name files, hosts and services of the machine that Tidings runs on.
PARAMETERS: Mapping[str, frozenset[str]] = {
    "postgresql": frozenset({"sslmode", "application_name"}),
    "mysql": frozenset({"sslmode"}),
    "mariadb": frozenset({"sslmode"}),
}
SCHEMES = (
    "It has to begin with postgresql://, mysql://, mariadb:// or sqlite:///, as in postgresql://reader:password@db.example.com/shop "
    "or sqlite:////srv/data/shop.db"
)
NO_HOSTS = "No database may be read yet: the operator sets TIDINGS_SQL_HOSTS to the hosts that data sources may read from, and starts Tidings again."
NO_HOST = "TIDINGS_SQL_HOSTS does not name {host}. Choose one that it names, or ask the operator to add this one."
NO_FILE = "This file does not lie under a folder that TIDINGS_LOCAL_ROOTS names. Choose one that does, or ask the operator to add its folder."
NO_DRIVER = "Reading MySQL and MariaDB needs a library that is not installed. Ask the operator to run: pip install 'tidings[mysql]'."
NO_MODE = "The parameter sslmode is verify-full or nothing for MySQL and MariaDB"


def checked(address: str) -> str:
    """The address, if it names one database and nothing of this machine; ValueError where it does not."""
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise ValueError(SCHEMES) from None
    kind = url.drivername
    if kind not in {*PORTS, "sqlite"} or not url.database:
        raise ValueError(SCHEMES)
    if kind == "sqlite" and (not url.database.startswith("/") or url.host or url.query):
        raise ValueError("Name the file of a SQLite database by its absolute path and nothing else, as in sqlite:////srv/data/shop.db")
    if kind != "sqlite" and (not url.host or re.search(r"[,/]", url.host)):
        raise ValueError(f"Name the one host of the database, as in {kind}://reader:password@db.example.com/shop")
    if others := sorted(set(url.query) - PARAMETERS.get(kind, frozenset())):
        raise ValueError(f"Leave out the parameters {', '.join(others)[:200]}; only {' and '.join(sorted(PARAMETERS[kind]))} can be given")
    if kind in {"mysql", "mariadb"} and url.query.get("sslmode", VERIFIED) != VERIFIED:
        raise ValueError(NO_MODE)
    return address


def objection(url: URL, context: SourceContext) -> str | None:
    """Why this database may not, or can't, be read; None where it can."""
    if url.drivername == "sqlite":
        return NO_FILE if bounds_of(str(url.database), context.local_roots, context.home) is None else None
    host, port = str(url.host).lower(), url.port or PORTS[url.drivername]
    if not {host, f"{host}:{port}", f"[{host}]:{port}"} & set(context.sql_hosts):
        return NO_HOST.format(host=host) if context.sql_hosts else NO_HOSTS
    return NO_DRIVER if url.drivername != "postgresql" and find_spec("pymysql") is None else None


def engine_of(url: URL, context: SourceContext) -> Engine:
    """An engine whose connections can do no more than read, as far as their driver knows."""
    if url.drivername == "sqlite":

        def connect() -> sqlite3.Connection:
            driver = sqlite3.connect(f"file:{quote(str(url.database))}?mode=ro", uri=True, check_same_thread=False, timeout=CONNECT_SECONDS)
            driver.execute("PRAGMA query_only = on")
            driver.text_factory = lambda found: found.decode("utf-8", "replace")
            return driver

        return create_engine("sqlite://", creator=connect, poolclass=NullPool)
    if url.drivername == "postgresql":
        given = {"connect_timeout": CONNECT_SECONDS, "tcp_user_timeout": 60_000, "passfile": "/nonexistent"}  # the operator's own passwords are for nobody else
        return create_engine(url.set(drivername="postgresql+psycopg"), poolclass=NullPool, connect_args=given, execution_options={"postgresql_readonly": True})
    tls = context.outbound.tls if url.query.get("sslmode") == VERIFIED else None
    silence = STATEMENT_SECONDS + CONNECT_SECONDS
    arguments = {"connect_timeout": CONNECT_SECONDS, "read_timeout": silence, "write_timeout": silence, "charset": "utf8mb4", "ssl": tls}
    return create_engine(url.set(drivername="mysql+pymysql", query={}), poolclass=NullPool, connect_args=arguments)


def begin(connection: Connection) -> None:
    """Makes what follows read only, and bounds the time of a statement, where the server has to be told."""
    match connection.dialect.name:
        case "postgresql":
            connection.execute(text(f"SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'"))
        case "mysql":
            maria = "mariadb" in str(connection.scalar(text("SELECT version()"))).lower()
            limit = f"max_statement_time = {STATEMENT_SECONDS}" if maria else f"max_execution_time = {STATEMENT_SECONDS * 1000}"
            connection.execute(text(f"SET SESSION {limit}"))
            connection.execute(text("SET SESSION TRANSACTION READ ONLY"))
            connection.commit()  # what is said of transactions is said of those to come


def interrupt(engine: Engine, connection: Connection) -> None:
    """Ends the query that a connection is busy with, or that was not read to its end."""
    driver: Any = connection.connection.driver_connection
    match engine.dialect.name:
        case "sqlite":
            driver.interrupt()
        case "postgresql":
            driver.cancel_safe()
        case _:
            with engine.connect() as another:
                another.execute(text(f"KILL QUERY {int(driver.thread_id())}"))
