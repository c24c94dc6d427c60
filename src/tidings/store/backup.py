"""A consistent copy of the whole database while others work on it."""

import os
import secrets
import shutil
import sqlite3
import subprocess
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from tidings.errors import Conflict, TidingsError, Unavailable
from tidings.settings import Settings
from tidings.store.database import open_database
from tidings.store.sqlite import SqliteDatabase


def copy_database(settings: Settings, target: Path) -> None:
    """Writes a copy to `target`: the SQLite file as it is at one instant, or pg_dump's custom format. It is there whole or not at all, mode 0600.

    Conflict where `target` exists, Unavailable where the database can't be read, TidingsError where the copy can't be written.
    """
    if os.path.lexists(target):
        raise Conflict(f"{target} is there already, and a backup overwrites nothing. Name another file.")
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        if settings.database_url is None:
            _copy_sqlite(settings, draft)
        else:
            _dump_postgres(settings.database_url, draft)
        _put_in_place(draft, target)
    except OSError as error:
        raise TidingsError(f"The copy can't be written to {target}: {error.strerror or error}. Name a file in a folder that Tidings may write to.") from None
    finally:
        with suppress(OSError):  # where it could not be made, it can't be removed either
            draft.unlink()


def _copy_sqlite(settings: Settings, draft: Path) -> None:
    """Page by page in one read transaction, so rowids stay what they are (VACUUM would give new ones, which the full-text index goes by)."""
    db = open_database(settings)
    assert isinstance(db, SqliteDatabase)
    path = db.path
    db.close()
    try:
        with closing(sqlite3.connect(path, timeout=10)) as source, closing(sqlite3.connect(draft)) as copy:
            source.backup(copy)
    except sqlite3.Error as error:
        raise Unavailable(f"The database can't be copied: {error}. Is there room on the disk? `tidings doctor` looks for what is wrong.") from error


def _dump_postgres(url: str, draft: Path) -> None:
    program = shutil.which("pg_dump")
    if program is None:
        raise Unavailable("pg_dump is not here. Install PostgreSQL's client programs (of the server's version or newer), or run pg_dump where the server is.")
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    password = query.pop("password", None) or unquote(parts.password or "")
    user, at, place = parts.netloc.rpartition("@")
    shown = parts._replace(netloc=user.partition(":")[0] + at + place, query=urlencode(query, safe="*/:")).geturl()
    environment = {**os.environ, **({"PGPASSWORD": password} if password else {})}  # not on the command line, where everybody can read it
    done = subprocess.run(  # noqa: S603 - the program from PATH, arguments of our own
        [program, "--format=custom", "--no-password", f"--file={draft}", f"--dbname={shown}"], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = done.stderr.strip().replace("\n", " ") or f"it ended with code {done.returncode}"
        raise Unavailable(f"pg_dump could not copy the database: {said}. Check that PostgreSQL runs, and that pg_dump is of its version or newer.")


def _put_in_place(draft: Path, target: Path) -> None:
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    try:
        os.link(draft, target)  # unlike a rename, never replaces what came there meanwhile
    except FileExistsError:
        raise Conflict(f"{target} is there already, and a backup overwrites nothing. Name another file.") from None
    except OSError:  # a file system without hard links
        draft.rename(target)
    with suppress(OSError):
        folder = os.open(target.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
