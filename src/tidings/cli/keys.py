"""`tidings keys`: API keys."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidings.cli.answers import Json, print_json, print_table

if TYPE_CHECKING:
    from tidings.model.workspaces import ApiKey

app = typer.Typer(help="API keys: create, list, revoke.", no_args_is_help=True, rich_markup_mode=None)


class Role(StrEnum):
    """What a key may do; each may do what the ones before it may."""

    MEMBER = "member"
    OWNER = "owner"
    OPERATOR = "operator"


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is for, such as `deploy script`.")],
    role: Annotated[Role, typer.Option(help="member: reads, and starts syncs; owner: changes everything but the plan; operator: the plan too.")] = Role.OWNER,
    workspace: Annotated[str | None, typer.Option(metavar="ID", help="Workspace of the key, where there are several.")] = None,
    json: Json = False,  # noqa: FBT002
) -> None:
    """Make a key. It is shown once."""
    from tidings.cli.opening import opened, read_settings, run
    from tidings.workspaces import keys

    settings = read_settings()

    async def work() -> "tuple[ApiKey, str]":
        async with opened(settings) as db:
            return await keys.create(db, workspace, name, role.value)

    made, key = run(work())
    if json:
        print_json({**_shown(made), "apiKey": key})
    else:
        typer.echo(f"{key}\n")
        typer.echo(f"This is the key {made.name!r} of role {made.role}. Keep it secret; it is not shown again. Its id, to revoke it, is {made.id}.")


@app.command("list")
def list_keys(json: Json = False) -> None:  # noqa: FBT002
    """List all keys, revoked ones too, without the keys themselves."""
    from tidings.cli.opening import opened, read_settings, run
    from tidings.workspaces import keys

    settings = read_settings()

    async def work() -> "tuple[ApiKey, ...]":
        async with opened(settings) as db:
            return await keys.all_of_them(db)

    found = [_shown(one) for one in run(work())]
    if json:
        print_json({"items": found})
    elif not found:
        typer.echo("There are no keys yet. `tidings setup` makes the first one.")
    else:
        several = len({one["workspaceId"] for one in found}) > 1
        rows = [[one["id"], one["role"], "revoked" if one["revokedAt"] else "valid", one["createdAt"][:10], one["name"]] for one in found]
        titles = ["ID", "ROLE", "STATE", "CREATED", "NAME"]
        if several:
            print_table([*titles, "WORKSPACE"], [[*row, one["workspaceId"]] for row, one in zip(rows, found, strict=True)])
        else:
            print_table(titles, rows)
            typer.echo(f"\nAll of the workspace {found[0]['workspaceId']}.")


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key, as `tidings keys list` shows it.")],
    json: Json = False,  # noqa: FBT002
) -> None:
    """Make a key worthless, at once."""
    from tidings.cli.opening import opened, read_settings, run
    from tidings.workspaces import keys

    settings = read_settings()

    async def work() -> None:
        async with opened(settings) as db:
            await keys.revoke(db, key_id)

    run(work())
    if json:
        print_json({"id": key_id, "revoked": True})
    else:
        typer.echo(f"The key {key_id} is worthless from now on.")


def _shown(key: "ApiKey") -> dict[str, Any]:
    from tidings import clock

    revoked = None if key.revoked_at is None else clock.rfc3339(key.revoked_at)
    return {
        "id": key.id,
        "workspaceId": key.workspace_id,
        "name": key.name,
        "role": key.role,
        "createdAt": clock.rfc3339(key.created_at),
        "revokedAt": revoked,
    }
