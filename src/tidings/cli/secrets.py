"""`tidings secrets`: what the secret key opens, and what to do when it is lost for good."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidings.cli.answers import Json, misuse, on_terminal, print_json, print_table

if TYPE_CHECKING:
    from tidings.webhooks.lost import Lost

app = typer.Typer(help="Secrets sealed in the database: check, replace.", no_args_is_help=True, rich_markup_mode=None)

KINDS = {"sync_trigger": "trigger", "sync_success": "success", "sync_failure": "failure", "data_source": "data source"}


@app.command()
def check(json: Json = False) -> None:  # noqa: FBT002
    """List what the present secret key can't open. Exit code 1 where there is something."""
    lost = _work(replace=False)
    if json:
        print_json({"lost": [_shown(one) for one in lost]})
    elif lost:
        _print(lost)
        typer.echo("\nPut the key back that sealed them. If it is lost for good, `tidings secrets replace` goes on without.")
    else:
        typer.echo("The secret key opens everything.")
    if lost:
        raise typer.Exit(1)


@app.command()
def replace(
    yes: Annotated[bool, typer.Option("--yes", help="The former key is lost for good; do not ask.")] = False,  # noqa: FBT002
    json: Json = False,  # noqa: FBT002
) -> None:
    """Put new secrets in the place of those that no key opens any more, and list what has to be entered anew. A key is made where there is none."""
    if not yes:
        if not on_terminal(sys.stdin):
            raise misuse("With --yes you say that the former key is lost for good: what it sealed can't be opened afterwards, even if it is found.")
        typer.confirm("Is the former key lost for good? What it sealed can't be opened afterwards, even if it is found", abort=True)
    lost = _work(replace=True)
    if json:
        print_json({"lost": [_shown(one) for one in lost]})
    elif not lost:
        typer.echo("The secret key opens everything. Nothing had to be replaced.")
    else:
        _print(lost)
        typer.echo(
            "\nTrigger hooks have new URLs: give them to whoever calls. Outgoing webhooks have new secrets and are disabled, what they are owed is held:"
        )
        typer.echo("tell the receivers, or enter the secrets that they know, and headers, then enable them. Data sources: enter the credentials anew.")


def _work(*, replace: bool) -> "tuple[Lost, ...]":
    from tidings.cli.opening import opened, read_settings, run
    from tidings.secretbox import FILE_NAME, SecretBox, load_or_create_secret_key
    from tidings.webhooks import lost

    settings = read_settings()
    given = settings.secret_key.get_secret_value() if settings.secret_key else None

    async def work() -> "tuple[Lost, ...]":
        async with opened(settings) as db:
            none = given is None and not (settings.home / FILE_NAME).exists() and not replace
            # without any key, nothing opens: that is looked at with one that is not kept
            box = SecretBox([b"\0" * 32] if none else load_or_create_secret_key(settings.home, given))
            return await (lost.replace if replace else lost.find)(db, box)

    return run(work())


def _print(lost: "tuple[Lost, ...]") -> None:
    print_table(["WHAT", "OF", "ID", "BOT"], [[", ".join(one.what), one.name or KINDS[one.kind], one.id, one.bot] for one in lost])


def _shown(one: "Lost") -> dict[str, Any]:
    return {"kind": one.kind, "id": one.id, "bot": one.bot, "name": one.name or None, "what": list(one.what)}
