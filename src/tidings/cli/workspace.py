"""`tidings workspace`: what an operator decides about a workspace."""

from typing import TYPE_CHECKING, Annotated

import typer

from tidings.cli.answers import Json, print_json

if TYPE_CHECKING:
    from tidings.workspaces.plans import WorkspaceView

app = typer.Typer(help="Workspaces: put one on a plan.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _workspace() -> None:
    """Keeps `plan` a command of its own, though it is the only one."""


@app.command()
def plan(
    workspace_id: Annotated[str, typer.Argument(metavar="WORKSPACE_ID", help="Id of the workspace, as `tidings keys list` shows it.")],
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
