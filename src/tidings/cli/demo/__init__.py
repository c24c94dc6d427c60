"""`tidings demo`: the whole loop on real input, in one command that leaves nothing behind."""

import asyncio

import typer

from tidings.cli.answers import Json


def demo(json: Json = False) -> None:  # noqa: FBT002
    """Show the whole loop on real files, and leave nothing behind."""
    import uvloop

    from tidings.cli.demo.stage import perform
    from tidings.cli.demo.telling import Teller
    from tidings.cli.opening import quiet_logs

    quiet_logs()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if not runner.run(perform(Teller(as_json=json))):
            typer.echo("The demo was stopped; nothing of it is left.", err=True)
            raise typer.Exit(1)
