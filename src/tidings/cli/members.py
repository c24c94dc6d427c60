"""`tidings members` and `tidings password`: people, for whoever runs Tidings."""

import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from tidings.cli.answers import Json, misuse, on_terminal, print_json, print_table

if TYPE_CHECKING:
    from tidings.model.workspaces import Invitation, Member, Workspace

app = typer.Typer(help="Members of workspaces: list, invite, sign out.", no_args_is_help=True, rich_markup_mode=None)

BY = "the command line"

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="E-mail address of the person.")]
OfWorkspace = Annotated[str | None, typer.Option(metavar="ID", help="The workspace, where there are several.")]


class Role(StrEnum):
    """What a person may do in a workspace."""

    MEMBER = "member"
    OWNER = "owner"


@app.command("list")
def list_members(workspace: OfWorkspace = None, json: Json = False) -> None:  # noqa: FBT002
    """List who belongs to each workspace, or to one."""
    from tidings import clock
    from tidings.cli.opening import opened, read_settings, run
    from tidings.workspaces import members

    settings = read_settings()

    async def work() -> "Mapping[Workspace, tuple[Member, ...]]":
        async with opened(settings) as db:
            return await members.everybody(db, workspace)

    found = [
        {"id": one.user_id, "email": one.email, "role": one.role, "joinedAt": clock.rfc3339(one.joined_at), "workspaceId": of.id, "workspace": of.name}
        for of, there in run(work()).items()
        for one in there
    ]
    if json:
        print_json({"items": found})
    elif not found:
        typer.echo("Nobody belongs to it yet. `tidings members invite EMAIL` makes a link for somebody.")
    else:
        print_table(["E-MAIL", "ROLE", "JOINED", "WORKSPACE"], [[one["email"], one["role"], one["joinedAt"][:10], one["workspace"]] for one in found])


@app.command()
def invite(
    email: Email,
    role: Annotated[Role, typer.Option(help="member: sees what there is; owner: changes everything but the plan.")] = Role.MEMBER,
    workspace: OfWorkspace = None,
    json: Json = False,  # noqa: FBT002
) -> None:
    """Make a link by which somebody joins a workspace, once. Nothing is sent."""
    from tidings.cli.opening import opened, read_settings, run
    from tidings.cli.serve import base_url_of
    from tidings.workspaces import invitations

    settings = read_settings()

    async def work() -> "tuple[Invitation, str]":
        async with opened(settings) as db:
            return await invitations.invite(db, workspace, email, role.value, BY)

    made, path = run(work())
    link = base_url_of(settings) + path
    if json:
        print_json({"email": made.email, "role": made.role, "workspaceId": made.workspace_id, "url": link})
    else:
        typer.echo(f"{link}\n\nPass it on to {made.email}: it leads into {made.workspace}, once, for 7 days, and is not shown again.")


@app.command("sign-out")
def sign_out(
    email: Annotated[str | None, typer.Argument(metavar="EMAIL", help="E-mail address of the person.")] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Sign out everybody instead.")] = False,  # noqa: FBT002
    json: Json = False,  # noqa: FBT002
) -> None:
    """End all sessions of somebody, or of everybody."""
    from tidings.cli.opening import opened, read_settings, run
    from tidings.workspaces import sign_in

    if (email is None) is not everybody:
        raise misuse("Name one person, or give --all.")
    settings = read_settings()

    async def work() -> None:
        async with opened(settings) as db:
            await sign_in.end_sessions(db, email)

    run(work())
    if json:
        print_json({"email": email, "signedOut": True})
    else:
        typer.echo(f"{email or 'Everybody'} is signed out everywhere.")


def password(
    email: Email,
    password: Annotated[str | None, typer.Option(metavar="PASSWORD", help="The new password; asked for on a terminal when left out.")] = None,
    json: Json = False,  # noqa: FBT002
) -> None:
    """Give somebody a new password, and end all sessions of theirs."""
    from tidings.cli.opening import opened, read_settings, run
    from tidings.workspaces import sign_in

    if password is None:
        if not on_terminal(sys.stdin):
            raise misuse("--password is missing.")
        password = typer.prompt("New password", hide_input=True, confirmation_prompt=True)
    settings, new = read_settings(), password

    async def work() -> None:
        async with opened(settings) as db:
            await sign_in.reset_password(db, email, new)

    run(work())
    if json:
        print_json({"email": email, "changed": True})
    else:
        typer.echo(f"{email} has a new password, and is signed out everywhere.")
