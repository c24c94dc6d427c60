"""The commands: `tidings serve`, `tidings setup` and the others.

Each lives in a file of its own. What it needs is imported when it runs, so that `--help` is quick.
"""

import os
import sys
from errno import EDQUOT, EFBIG, EIO, ENOSPC
from typing import Annotated

import typer

from tidings import __version__
from tidings.cli import demo, doctor, house, keys, listen, members, secrets, serve, setup, sync, workspace
from tidings.errors import Invalid, TidingsError

app = typer.Typer(
    name="tidings",
    help="Keeps the knowledge behind bots in sync with where it really lives, and tells every other system how each sync went.",
    epilog="Settings come from TIDINGS_* variables and tidings.toml in the home folder; `tidings config` shows them.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
app.command()(serve.serve)
app.command()(setup.setup)
app.command()(demo.demo)
app.command()(sync.sync)
app.command()(listen.listen)
app.add_typer(keys.app, name="keys")
app.add_typer(workspace.app, name="workspace")
app.add_typer(members.app, name="members")
app.command()(members.password)
app.add_typer(secrets.app, name="secrets")
app.command()(doctor.doctor)
app.command()(house.config)
app.command()(house.migrate)
app.command()(house.backup)
app.command()(house.openapi)


def _version(wanted: bool) -> None:  # noqa: FBT001 - Typer's way to call it
    if wanted:
        typer.echo(f"tidings {__version__}")
        raise typer.Exit


@app.callback()
def _tidings(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")] = False,  # noqa: FBT002
) -> None:
    """What stands before the commands."""


def main() -> None:
    """Runs a command. Exit code 0: done, 1: failed, 2: misuse; why stands in a sentence on standard error."""
    try:
        app(prog_name="tidings")
    except Invalid as error:
        typer.echo("\n".join(f"{one.field}: {one.message}" for one in error.errors), err=True)
        sys.exit(2)
    except TidingsError as error:
        typer.echo(str(error), err=True)
        sys.exit(1)
    except OSError as error:
        if error.filename is not None or error.errno not in {EDQUOT, EFBIG, EIO, ENOSPC}:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what could not be written is not tried again at the end
        typer.echo(f"Something can't be written: {error.strerror}. Make room where standard output goes, and in the folder for temporary files.", err=True)
        sys.exit(1)
