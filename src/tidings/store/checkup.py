"""What `tidings doctor` asks the database about itself."""

from dataclasses import dataclass

from sqlalchemy import select, text

from tidings import clock
from tidings.store.database import Database
from tidings.store.tables import webhook_secrets
from tidings.store.transactions import Tx


@dataclass(frozen=True, slots=True)
class Vitals:
    """`version` as the database calls itself, `major` as a number. `clock_ahead`: seconds that its clock is ahead of ours, None on SQLite, which has none."""

    version: str
    major: int
    clock_ahead: float | None


async def vitals(db: Database) -> Vitals:
    """What the database says of itself. Unavailable."""
    return await db.read(_vitals)


def _vitals(tx: Tx) -> Vitals:
    if tx.dialect == "sqlite":
        version = str(tx.execute(text("SELECT sqlite_version()")).scalar_one())
        return Vitals(version, int(version.partition(".")[0]), None)
    version = str(tx.execute(text("SHOW server_version")).scalar_one())
    there = int(tx.execute(text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)")).scalar_one())
    return Vitals(version, int(version.partition(".")[0].split()[0]), (there - clock.now()) / clock.SECOND)


async def latest_secret(db: Database) -> tuple[str, str] | None:
    """(hook id, sealed text) of the secret that was sealed last, None where there is none yet. Unavailable."""
    return await db.read(_latest_secret)


def _latest_secret(tx: Tx) -> tuple[str, str] | None:
    found = tx.execute(select(webhook_secrets.c.webhook_id, webhook_secrets.c.sealed).order_by(webhook_secrets.c.created_at.desc()).limit(1)).first()
    return None if found is None else (found.webhook_id, found.sealed)
