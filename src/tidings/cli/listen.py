"""`tidings listen`."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from tidings.cli.answers import Json, as_json, colored, misuse, print_json

if TYPE_CHECKING:
    from tidings.web.receiver import Received

DEFAULT_PORT = 8701


def listen(
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="PORT", help="Port to listen on, of 127.0.0.1; 0 takes a free one.")] = DEFAULT_PORT,
    secret: Annotated[
        str | None, typer.Option(metavar="SECRET", help="Signing secret of the webhook (whsec_...), to check signatures with; a wrong one is answered 401.")
    ] = None,
    fail: Annotated[int, typer.Option(min=0, metavar="N", help="Answer the first N requests with 500, to see retries.")] = 0,
    delay: Annotated[float, typer.Option(min=0, max=3600, metavar="SECONDS", help="Wait so long before each answer.")] = 0.0,
    json: Json = False,  # noqa: FBT002
) -> None:
    """Receive webhooks: print what arrives, check signatures."""
    from tidings.errors import Invalid
    from tidings.webhooks.signing import parse_signing_secret

    try:
        keys = [] if secret is None else [parse_signing_secret(secret)]
    except Invalid:
        raise misuse('--secret takes the signing secret of a webhook: "whsec_" and base64 behind it. Copy it from the page of the webhook.') from None
    asyncio.run(_listen(port, keys, fail, delay, json=json))


async def _listen(port: int, keys: list[bytes], fail: int, delay: float, *, json: bool) -> None:
    from tidings.cli.opening import quiet_logs
    from tidings.cli.serve import DEFAULT_HOST, stop_on_signals
    from tidings.web.receiver import Receiver
    from tidings.web.serve import bind, serve_app, url_of

    quiet_logs()
    stop = asyncio.Event()
    stop_on_signals(stop)
    listener = bind(DEFAULT_HOST, port)
    url = url_of(listener, DEFAULT_HOST)

    def say_hello() -> None:
        if json:
            print_json({"url": url})
            return
        typer.echo(f"Listening on {url} for webhooks. Ctrl-C stops it.")
        if not keys:
            typer.echo("Signatures are not checked: give the webhook's signing secret with --secret to have them checked.")
        typer.echo("Tidings posts to this machine only if TIDINGS_ALLOWED_NETWORKS allows 127.0.0.0/8.\n")

    def show(received: "Received") -> None:
        if json:
            print_json(_as_json(received))
        else:
            typer.echo("\n".join([*described(received), ""]))

    await serve_app(Receiver(show, keys=keys, fail=fail, delay=delay), listener, stop, say_hello)


def described(received: "Received") -> list[str]:
    """What arrived, as lines for people. JSON is one line, however long."""
    from tidings import clock

    told = [clock.rfc3339(received.at)[11:19], received.method, received.path]
    if "tidings-event" in received.headers:
        told.append(received.headers["tidings-event"])
    if received.headers.get("tidings-test") == "true":
        told.append("(a test)")
    if "tidings-attempt" in received.headers:
        told.append(f"attempt {received.headers['tidings-attempt']}")
    if received.answered != 200:
        told.append(f"answered {received.answered}")
    color = {"valid": "green", "wrong": "red"}.get(received.signature)
    lines = [f"{'  '.join(map(_printable, told))}  {colored(f'signature {received.signature}', color)}"]
    if received.problem is not None:
        lines.append(colored(received.problem, "red"))
    payload = received.payload()
    lines.append(_printable(payload) if isinstance(payload, str) else as_json(payload))
    return lines


def _printable(text: str) -> str:
    """What a stranger sent, without anything that a terminal would obey."""
    return "".join(character if character.isprintable() or character == "\n" else f"\\x{ord(character):02x}" for character in text)


def _as_json(received: "Received") -> dict[str, object]:
    from tidings import clock

    return {
        "at": clock.rfc3339(received.at),
        "method": received.method,
        "path": received.path,
        "headers": dict(received.headers),
        "body": received.payload(),
        "signature": received.signature,
        "problem": received.problem,
        "answered": received.answered,
    }
