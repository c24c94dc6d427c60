"""A port for what a test starts, and its end."""

import asyncio
import socket

from aiohttp import web

_TURNS = 5  # of the event loop, in which it accepts whatever has dialled


async def end(runner: web.AppRunner) -> None:
    """Ends a server once it has accepted whoever has dialled: asyncio loses a connection that is being accepted while its server closes, and whichever test
    runs when that is found fails."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    await runner.cleanup()


def free_port() -> int:
    """A port of this machine that nobody listens on. A connection to it has just ended, so the system gives it to nobody who asks for any port, for a
    minute; whoever asks for this one has it."""
    with socket.socket() as door, socket.socket() as caller:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(("127.0.0.1", 0))
        door.listen(1)
        caller.connect(door.getsockname())
        door.accept()[0].close()
        port: int = door.getsockname()[1]
        return port
