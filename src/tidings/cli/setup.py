"""`tidings setup`."""

import sys
from typing import Annotated

import typer

from tidings.cli.answers import Json, misuse, print_json


def setup(
    email: Annotated[str, typer.Option(metavar="EMAIL", help="E-mail address of the first owner.")],
    password: Annotated[str | None, typer.Option(metavar="PASSWORD", help="Password of the first owner; asked for on a terminal when left out.")] = None,
    workspace: Annotated[str, typer.Option(metavar="NAME", help="Name of the workspace.")] = "My workspace",
    json: Json = False,  # noqa: FBT002
) -> None:
    """Make the first owner and workspace, and an operator's API key."""
    from tidings.cli.opening import opened, read_settings, run
    from tidings.workspaces.setup import setup as set_up

    if password is None:
        if not sys.stdin.isatty():
            raise misuse("--password is missing.")
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    settings = read_settings()

    async def work() -> tuple[str, str]:
        async with opened(settings, migrate=True) as db:
            return await set_up(db, settings, email, password, workspace)

    workspace_id, key = run(work())
    if json:
        print_json({"workspaceId": workspace_id, "apiKey": key})
    else:
        typer.echo(f"{workspace} is set up, with {email} as its owner.\n\nWorkspace         {workspace_id}\nOperator's key    {key}\n")
        typer.echo("Keep the key secret; it is not shown again. Programs send it as `Authorization: Bearer KEY`.")
