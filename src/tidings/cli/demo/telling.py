"""How the demo tells its story: for people, or one JSON line for each thing that happens."""

from collections.abc import Sequence

import typer

from tidings.cli.answers import as_json, bold, print_json
from tidings.cli.listen import described
from tidings.cli.progress import SyncBar
from tidings.web.receiver import Received


class Teller:
    """Prints as it goes. JSON is never wrapped, nothing is cut off."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._number = 0

    def chapter(self, title: str) -> None:
        """A new part of the story."""
        self._number += 1
        if not self._as_json:
            typer.echo(f"\n{bold(f'{self._number}. {title}')}\n")

    def say(self, *lines: str) -> None:
        """What happens, for people only."""
        if not self._as_json:
            typer.echo("\n".join(lines))

    def fact(self, **facts: object) -> None:
        """What happens, for programs only."""
        if self._as_json:
            print_json(facts)

    def webhook(self, received: Received) -> None:
        """A webhook that arrived."""
        self.fact(webhook=received.payload(), headers=dict(received.headers), signature=received.signature)
        self.say(f"Webhook received: {described(received)[0]}", f"  webhook-id: {received.headers.get('webhook-id', '')}", *described(received)[1:])

    def called(self, command: str, answer: object) -> None:
        """A call of the trigger URL."""
        self.fact(called=command, answer=answer)
        self.say(f"$ {command}", as_json(answer), "")

    def bar(self) -> SyncBar:
        """A progress bar, where there is a terminal."""
        return SyncBar()

    def changed(self, folder: str, lines: Sequence[str]) -> None:
        """What was done to the folder."""
        self.fact(folder=folder, changed=list(lines))
        self.say(*(f"  {line}" for line in lines), "")
