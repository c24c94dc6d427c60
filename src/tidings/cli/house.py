"""`tidings migrate`, `config`, `backup`, `openapi`: keeping house."""

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidings.cli.answers import Json, as_json, print_json, print_table

if TYPE_CHECKING:
    from tidings.settings import Settings


def migrate(json: Json = False) -> None:  # noqa: FBT002
    """Bring the database's schema up to date."""
    from tidings.cli.opening import make_home, read_settings
    from tidings.store.database import open_database

    settings = read_settings()
    make_home(settings)
    db = open_database(settings)
    try:
        pending = db.pending_migrations()
        db.migrate()
    finally:
        db.close()
    if json:
        print_json({"applied": pending})
    else:
        typer.echo(f"The schema was brought up to date: {', '.join(pending)}." if pending else "The schema is up to date. Nothing had to be done.")


def config(json: Json = False) -> None:  # noqa: FBT002
    """Show the settings in effect and where each comes from; secrets are masked."""
    from tidings.cli.opening import read_settings
    from tidings.settings import unknown_variables

    settings = read_settings()
    sources = _sources(settings)
    if json:
        print_json({name: {"value": value, "source": sources[name]} for name, value in settings.shown().items()})
    else:
        rows = [[name, sources[name], _as_written(value)] for name, value in settings.shown().items()]
        print_table(["SETTING", "FROM", "VALUE"], rows)
    for sentence in unknown_variables():
        typer.echo(sentence, err=True)


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the copy. Nothing is overwritten.")],
    json: Json = False,  # noqa: FBT002
) -> None:
    """Copy the whole database, consistent, while Tidings runs."""
    from tidings.cli.opening import read_settings
    from tidings.errors import NotFound
    from tidings.store.backup import copy_database
    from tidings.store.database import SQLITE_FILE

    settings = read_settings()
    if settings.database_url is None and not (settings.home / SQLITE_FILE).is_file():
        raise NotFound(f"There is no database in {settings.home}. Set TIDINGS_HOME to the home folder of the Tidings to copy.")
    target = file.expanduser().absolute()
    copy_database(settings, target)
    size = target.stat().st_size
    besides = [str(path) for path in (settings.home / "uploads", settings.home / "secret.key", settings.home / "tidings.toml") if path.exists()]
    if json:
        print_json({"file": str(target), "bytes": size, "database": "sqlite" if settings.database_url is None else "postgresql", "notIncluded": besides})
        return
    typer.echo(f"The database was copied to {target} ({size / 1e6:,.1f} MB).")
    if besides:
        typer.echo("It does not hold these, which a restore needs as well; copy them too:")
        typer.echo("\n".join(f"  {path}" for path in besides))


def openapi(
    json: Annotated[bool, typer.Option("--json", help="Print it on one line.")] = False,  # noqa: FBT002
) -> None:
    """Print the OpenAPI 3.1 document of the API; needs no server and no database."""
    import json as written

    from tidings.cli.opening import read_settings
    from tidings.cli.serve import base_url_of
    from tidings.web.server import openapi_document

    document = openapi_document(base_url_of(read_settings()))
    typer.echo(as_json(document) if json else written.dumps(document, ensure_ascii=False, indent=2))


def _as_written(value: Any) -> str:
    """A value as it would be set in the environment; `-` where there is none."""
    if value is None or value == []:
        return "-"
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else as_json(value)


def _sources(settings: "Settings") -> dict[str, str]:
    """Variable -> where its value comes from."""
    from tidings.settings import FILE_NAME, variable

    in_file: dict[str, Any] = {}
    path = settings.home / FILE_NAME
    if path.exists():
        in_file = tomllib.loads(path.read_text(encoding="utf-8"))
    names = {variable(name): name for name in type(settings).model_fields}
    return {
        key: "environment" if os.environ.get(key, "").strip() else FILE_NAME if name in in_file and key not in os.environ else "default"
        for key, name in names.items()
    }
