"""`tidings workspace`: what an operator decides about a workspace."""

from typing import TYPE_CHECKING, Annotated

import typer

from tidings.cli.answers import Json, print_json, print_table

if TYPE_CHECKING:
    from tidings.model.workspaces import Workspace
    from tidings.workspaces.plans import WorkspaceView

app = typer.Typer(help="Workspaces: make, list, put on a plan.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the workspace.")],
    email: Annotated[str, typer.Option(metavar="EMAIL", help="E-mail address of its first owner.")],
    json: Json = False,  # noqa: FBT002
) -> None:
    """Make another workspace. Its owner is who has this address; somebody new gets a link to join by."""
    from tidings.cli.members import BY
    from tidings.cli.opening import opened, read_settings, run
    from tidings.cli.serve import base_url_of
    from tidings.workspaces import invitations, members

    settings = read_settings()

    async def work() -> tuple[str, str | None]:
        async with opened(settings) as db:
            workspace_id, known = await members.create_workspace(db, settings, name, email)
            return workspace_id, None if known else (await invitations.invite(db, workspace_id, email, "owner", BY))[1]

    workspace_id, path = run(work())
    link = None if path is None else base_url_of(settings) + path
    if json:
        print_json({"workspaceId": workspace_id, "invitation": link})
    elif link is None:
        typer.echo(f"{name} is there, and {email} owns it. Its id is {workspace_id}.")
    else:
        typer.echo(f"{link}\n\n{name} is there; its id is {workspace_id}. By this link {email} joins as its owner, once, within 7 days.")


@app.command("list")
def list_workspaces(json: Json = False) -> None:  # noqa: FBT002
    """List all workspaces with their plans."""
    from tidings.cli.opening import opened, read_settings, run
    from tidings.store import workspaces

    settings = read_settings()

    async def work() -> "tuple[Workspace, ...]":
        async with opened(settings) as db:
            return await db.read(workspaces.all_of_them)

    found = run(work())
    if json:
        print_json({"items": [{"id": one.id, "name": one.name, "plan": one.plan} for one in found]})
    else:
        print_table(["ID", "PLAN", "NAME"], [[one.id, one.plan, one.name] for one in found])


@app.command()
def plan(
    workspace_id: Annotated[str, typer.Argument(metavar="WORKSPACE_ID", help="Id of the workspace, as `tidings workspace list` shows it.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a plan of TIDINGS_PLANS.")],
    json: Json = False,  # noqa: FBT002
) -> None:
    """Put a workspace on a plan."""
    from tidings.cli.opening import opened, read_settings, run
    from tidings.workspaces import plans

    settings = read_settings()

    async def work() -> "WorkspaceView":
        async with opened(settings) as db:
            return await plans.change(db, settings, workspace_id, plan=name)

    view = run(work())
    if json:
        usage = {"month": view.month, "storageTokens": view.used}
        shown = {"id": view.workspace.id, "name": view.workspace.name, "plan": {"name": view.workspace.plan, "storageTokensPerMonth": view.allowance}}
        print_json({**shown, "usage": usage})
    else:
        allowed = "without limit" if view.allowance is None else f"of {view.allowance:,} storage tokens a month"
        typer.echo(f"{view.workspace.name} is on the plan {view.workspace.plan}, {allowed}. It has used {view.used:,} in {view.month}.")
