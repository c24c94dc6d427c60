"""`tidings setup`."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from tidings.cli.answers import Json, misuse, on_terminal, print_json

if TYPE_CHECKING:
    from tidings.secretbox import SecretBox
    from tidings.settings import Settings
    from tidings.store.database import Database


def setup(
    email: Annotated[str, typer.Option(metavar="EMAIL", help="E-mail address of the first owner.")],
    password: Annotated[str | None, typer.Option(metavar="PASSWORD", help="Password of the first owner; asked for on a terminal when left out.")] = None,
    workspace: Annotated[str, typer.Option(metavar="NAME", help="Name of the workspace.")] = "My workspace",
    example: Annotated[bool, typer.Option("--example", help="Add an example bot, whose webhooks go to an inbox of this Tidings.")] = False,  # noqa: FBT002
    json: Json = False,  # noqa: FBT002
) -> None:
    """Make the first owner and workspace, and an operator's API key."""
    from tidings.cli.opening import open_secrets, opened, read_settings, run
    from tidings.workspaces.setup import setup as set_up

    if password is None:
        if not on_terminal(sys.stdin):
            raise misuse("--password is missing.")
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    settings = read_settings()

    async def work() -> tuple[str, str]:
        async with opened(settings, migrate=True) as db:
            box = await open_secrets(db, settings) if example else None  # before: the key that is made is shown once
            made = await set_up(db, settings, email, password, workspace)
            if box is not None:
                await _add_example(db, settings, box, made[0])
            return made

    workspace_id, key = run(work())
    if json:
        print_json({"workspaceId": workspace_id, "apiKey": key})
    else:
        typer.echo(f"{workspace} is set up, with {email} as its owner.\n\nWorkspace         {workspace_id}\nOperator's key    {key}\n")
        typer.echo("Keep the key secret; it is not shown again. Programs send it as `Authorization: Bearer KEY`.")


async def _add_example(db: "Database", settings: "Settings", box: "SecretBox", workspace_id: str) -> None:
    """The example bot, its inbox below the base URL, or where `serve` listens by itself."""
    from tidings import example
    from tidings.cli.serve import base_url_of
    from tidings.outbound import Outbound, inboxes_at, own_places

    base_url = base_url_of(settings)
    outbound = Outbound(settings.allowed_networks, own=await own_places(None, base_url), inboxes=inboxes_at(base_url))
    try:
        await example.make(db, settings, box, outbound, base_url, workspace_id)
    finally:
        await outbound.aclose()
