"""`tidings doctor`: looks at the set-up, and says for each thing that is wrong how to put it right."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import typer

from tidings.cli.answers import Json, colored, command_line, print_json, wrapped

if TYPE_CHECKING:
    from tidings.settings import Settings
    from tidings.store.database import Database

LOW_BYTES, TOO_LOW_BYTES = 1_000_000_000, 100_000_000
OLDEST_POSTGRESQL = 14
CLOCK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `fix` says what to do where it is not ok."""

    check: str
    level: Literal["ok", "warning", "error"]
    message: str
    fix: str | None = None


def doctor(json: Json = False) -> None:  # noqa: FBT002
    """Check the set-up, with a fix for each finding. Exit code 1 when something is wrong."""
    from tidings.cli.opening import read_settings, run
    from tidings.errors import Invalid

    findings: list[Finding]
    try:
        settings = read_settings()
    except Invalid as error:
        findings = [Finding("settings", "error", f"{one.field}: {one.message}", "Correct the setting.") for one in error.errors]
    else:
        findings = [
            *_settings(),
            *_home(settings),
            *_secret_key(settings),
            *run(_database(settings)),
            *_folders(settings),
            *_connectors(),
            *_base_url(settings),
        ]
    healthy = all(finding.level != "error" for finding in findings)
    if json:
        print_json({"ok": healthy, "findings": [asdict(finding) for finding in findings]})
    else:
        _print(findings)
    if not healthy:
        raise typer.Exit(1)


def _print(findings: list[Finding]) -> None:
    colors = {"ok": "green", "warning": "yellow", "error": "red"}
    for finding in findings:
        first = f"{finding.level:<8} {finding.check:<12} "
        text = wrapped(f"{first}{finding.message}", " " * len(first))
        typer.echo(colored(text[:8], colors[finding.level]) + text[8:])
        if finding.fix is not None:
            typer.echo(wrapped(f"{'':<{len(first)}}-> {finding.fix}", " " * (len(first) + 3)))
    errors, warnings = (sum(finding.level == level for finding in findings) for level in ("error", "warning"))
    counted = [f"{count} {name}{'' if count == 1 else 's'}" for count, name in ((errors, "error"), (warnings, "warning")) if count]
    typer.echo(f"\n{' and '.join(counted)}." if counted else "\nAll is well.")


def _settings() -> Iterator[Finding]:
    from tidings.settings import unknown_variables

    unknown = list(unknown_variables())
    for sentence in unknown:
        yield Finding("settings", "warning", sentence, "Correct its name, or remove it.")
    if not unknown:
        yield Finding("settings", "ok", "All settings can be read; `tidings config` shows them.")


def _home(settings: "Settings") -> Iterator[Finding]:
    home = settings.home
    if not home.is_dir():
        yield Finding("home", "warning", f"{home} is not there yet.", f"`{command_line('serve')}` makes it; or set TIDINGS_HOME to the right folder.")
        return
    try:
        tempfile.TemporaryFile(dir=home).close()
    except OSError as error:
        yield Finding("home", "error", f"Tidings can't write to {home}: {error.strerror}.", "Give the account that runs it the right to.")
        return
    yield Finding("home", "ok", f"{home} can be written to.")
    free = shutil.disk_usage(home).free
    if free < LOW_BYTES:
        level: Literal["warning", "error"] = "error" if free < TOO_LOW_BYTES else "warning"
        yield Finding("disk", level, f"Only {free / 1e6:,.0f} MB are free where the home folder is.", "Free some space on that disk.")
    else:
        yield Finding("disk", "ok", f"{free / 1e9:,.1f} GB are free where the home folder is.")


def _secret_key(settings: "Settings") -> Iterator[Finding]:
    from tidings.errors import Invalid
    from tidings.secretbox import FILE_NAME, load_or_create_secret_key

    path = settings.home / FILE_NAME
    given = settings.secret_key.get_secret_value() if settings.secret_key else None
    if given is None and not path.exists():
        yield Finding("secret key", "ok", "It is made at the first start.")
        return
    try:
        load_or_create_secret_key(settings.home, given)
    except Invalid as error:
        yield Finding("secret key", "error", str(error), "Put the right key there; without it, what it sealed can't be opened.")
        return
    if given is not None:
        yield Finding("secret key", "ok", "It comes from TIDINGS_SECRET_KEY.")
    elif path.stat().st_mode & 0o077:
        yield Finding("secret key", "error", f"Others than its owner may read {path}.", f"chmod 600 {path}")
    elif settings.database_url is not None:
        yield Finding(
            "secret key", "warning", f"It is kept in {path}, on this machine only.", "If there is more than one machine, set TIDINGS_SECRET_KEY to it on each."
        )
    else:
        yield Finding("secret key", "ok", f"{path} is readable by its owner only.")


async def _database(settings: "Settings") -> list[Finding]:
    from tidings.errors import Unavailable
    from tidings.store.database import SQLITE_FILE, open_database

    if settings.database_url is None and not (settings.home / SQLITE_FILE).exists():
        return [Finding("database", "ok", "It is made at the first start.")]
    db = open_database(settings)
    try:
        pending = db.pending_migrations()
        return [*await _vitals(db, settings), *await _schema(db, settings, pending)]
    except Unavailable as error:
        return [Finding("database", "error", str(error), "Nothing works without it.")]
    finally:
        db.close()


async def _vitals(db: "Database", settings: "Settings") -> list[Finding]:
    from tidings.store.checkup import vitals

    seen = await vitals(db)
    if settings.database_url is None:
        return [Finding("database", "ok", f"SQLite {seen.version} answers."), _server(settings)]
    findings = [Finding("database", "ok", f"PostgreSQL {seen.version} answers.")]
    if seen.major < OLDEST_POSTGRESQL:
        findings = [Finding("database", "error", f"PostgreSQL {seen.version} is too old.", f"Tidings needs {OLDEST_POSTGRESQL} or newer.")]
    if seen.clock_ahead is not None and abs(seen.clock_ahead) > CLOCK_SECONDS:
        ahead = "ahead of" if seen.clock_ahead > 0 else "behind"
        findings.append(Finding("clock", "warning", f"The database's clock is {abs(seen.clock_ahead):.1f} s {ahead} this machine's.", "Set both by NTP."))
    else:
        findings.append(Finding("clock", "ok", "The database's clock and this machine's agree."))
    return findings


async def _schema(db: "Database", settings: "Settings", pending: list[str]) -> list[Finding]:
    from tidings.store import workspaces

    if pending:
        fix = f"Run `{command_line('migrate', home=settings.home)}`; `tidings serve` does so by itself."
        return [Finding("schema", "error", f"It is not up to date: {', '.join(pending)}.", fix)]
    known = await db.read(workspaces.all_of_them)
    findings = [Finding("schema", "ok", "It is up to date."), *await _sealed(db, settings)]
    if not known:
        findings.append(Finding("set-up", "warning", "There is no owner and no API key yet.", f"Run `{command_line('setup', home=settings.home)}`."))
    gone = sorted({workspace.plan for workspace in known} - set(settings.plans))
    for plan in gone:
        sentence = f"Workspaces are on the plan {plan!r}, which TIDINGS_PLANS has no more; the default plan's allowance counts for them."
        findings.append(Finding("plans", "warning", sentence, "Add it again, or put them on another one with `tidings workspace plan`."))
    if not gone:
        findings.append(Finding("plans", "ok", f"Plans: {', '.join(settings.plans)}; new workspaces are on {settings.default_plan}."))
    return findings


async def _sealed(db: "Database", settings: "Settings") -> list[Finding]:
    """Whether the secret key is the one that the database was sealed with: after a restore, it may be another."""
    from tidings.errors import Invalid, TidingsError
    from tidings.secretbox import FILE_NAME, SecretBox, load_or_create_secret_key
    from tidings.store.checkup import latest_secret

    latest = await latest_secret(db)
    given = settings.secret_key.get_secret_value() if settings.secret_key else None
    if latest is None:
        return []
    hook_id, sealed = latest
    fix = f"Until then trigger URLs answer 404 and no webhook is sent. Put the key that belongs to this database into {settings.home / FILE_NAME}."
    if given is None and not (settings.home / FILE_NAME).exists():
        lacking = "The database holds secrets that were sealed with a key, and there is no key here; `tidings serve` does not start without."
        return [Finding("sealed", "error", lacking, fix)]
    try:
        SecretBox(load_or_create_secret_key(settings.home, given)).open(sealed, "webhook_secrets", hook_id, "sealed")
    except Invalid:
        return []  # told of above
    except TidingsError as error:
        return [Finding("sealed", "error", str(error), fix)]
    return [Finding("sealed", "ok", "The secret key opens what the database holds.")]


def _server(settings: "Settings") -> Finding:
    from tidings.cli.serve import DEFAULT_HOST, DEFAULT_PORT
    from tidings.errors import Unavailable
    from tidings.store.sqlite import own
    from tidings.web.serve import bind

    lock = own(settings.home)
    if lock is None:
        return Finding("server", "ok", "A server runs on this data.")
    os.close(lock)
    try:
        bind(DEFAULT_HOST, DEFAULT_PORT).close()
    except Unavailable as error:
        return Finding("server", "warning", f"No server runs on this data, and another program has its port. {error}", "`tidings serve --port 8710`, for one.")
    return Finding("server", "ok", f"No server runs on this data; port {DEFAULT_PORT} is free for one.")


def _folders(settings: "Settings") -> Iterator[Finding]:
    for root in settings.local_roots:
        if not root.is_dir():
            yield Finding("local roots", "error", f"{root} is not a folder.", "Make it, or take it out of TIDINGS_LOCAL_ROOTS.")
        elif not os.access(root, os.R_OK | os.X_OK):
            yield Finding("local roots", "error", f"{root} can't be read.", "Give the account that runs Tidings the right to.")
        else:
            yield Finding("local roots", "ok", f"{root} can be read.")
    if not settings.local_roots:
        yield Finding("local roots", "ok", "None: data sources of type folder can't be created. Set TIDINGS_LOCAL_ROOTS to allow some.")


def _connectors() -> Iterator[Finding]:
    from tidings.connectors.registry import found

    there = found()
    named = [f"{kind} (of {there.packages[kind]})" if kind in there.packages else kind for kind in there.kinds]
    yield Finding("connectors", "ok", f"Data sources can be of type {', '.join(named)}.")
    for one in there.unusable:
        yield Finding("connectors", "error", one.reason, "Until then, data sources of this type can't be made, and their syncs fail.")


def _base_url(settings: "Settings") -> Iterator[Finding]:
    if settings.base_url is None:
        yield Finding("base URL", "ok", "None: trigger URLs name the address that `tidings serve` listens on. Set TIDINGS_BASE_URL before others use them.")
        return
    parts = urlsplit(settings.base_url)
    if parts.scheme == "http" and not _is_local(parts.hostname or ""):
        yield Finding("base URL", "warning", f"{settings.base_url} is not encrypted, and trigger URLs hold secrets.", "Put a proxy with TLS in front.")
    else:
        yield Finding("base URL", "ok", f"{settings.base_url} stands in every trigger URL.")


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_private
    except ValueError:
        return host == "localhost"
