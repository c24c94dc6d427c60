"""uvicorn in an event loop of ours: it listens, and stops when told to; signals are not its business."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from tidings.errors import Unavailable
from tidings.web.protocol import PATIENCE_SECONDS, Protocol

KEEP_ALIVE_SECONDS = 75  # longer than the proxies that people put in front (60 s), so that it is they who close idle connections
GRACE_SECONDS = 20  # for answers that are under way when the server stops
BACKLOG = 2048


class _Server(uvicorn.Server):
    """Says when it listens, and leaves signals to whoever runs the process."""

    on_listening: Callable[[], None]
    patience: float

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        return contextlib.nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.on_listening()

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:  # once a second
            for connection in list(self.server_state.connections):
                if isinstance(connection, Protocol):
                    connection.close_if_overdue(self.patience)
        return await super().on_tick(counter)


def bind(host: str, port: int) -> socket.socket:
    """A socket at this address that does not listen yet; port 0 takes a free one. Unavailable."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError:
        raise Unavailable(f"{host} is not an address of this machine. Name one that is with --host, such as 127.0.0.1, or 0.0.0.0 for all.") from None
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise _refused(error, host, port) from None
    return bound


def url_of(listener: socket.socket, host: str) -> str:
    """`http://HOST:PORT` of a bound socket, with the port that it really has; an address that stands for all is shown as loopback."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{listener.getsockname()[1]}"


async def serve_app(app: ASGIApp, listener: socket.socket, stop: asyncio.Event, on_listening: Callable[[], None], patience: float = PATIENCE_SECONDS) -> None:
    """Serves `app` until `stop`; then answers what is under way, for at most GRACE_SECONDS. Unavailable where it can't listen.
    `patience` (seconds) is for clients that owe a part of a request."""
    host, port = listener.getsockname()[:2]
    server = _Server(
        uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            log_level="warning",
            proxy_headers=False,  # the app does this itself, for the proxies that the settings name
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
            backlog=BACKLOG,
        )
    )
    server.on_listening = on_listening
    server.patience = patience
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
    except OSError as error:
        raise _refused(error, host, port) from None
    finally:
        stopping.cancel()
        serving.cancel()


def _refused(error: OSError, host: str, port: int) -> Unavailable:
    """Why nobody can listen there."""
    if error.errno == errno.EADDRINUSE:
        return Unavailable(f"Port {port} of {host} is in use by another program. Stop that one, or choose another port with --port.")
    if error.errno == errno.EACCES:
        return Unavailable(f"Port {port} may not be used by this account. Choose one above 1023 with --port.")
    if error.errno == errno.EADDRNOTAVAIL:
        return Unavailable(f"{host} is not an address of this machine. Name one that is with --host, such as 127.0.0.1, or 0.0.0.0 for all.")
    return Unavailable(f"Nothing can listen on {host}, port {port}: {error.strerror}. Choose others with --host and --port.")
