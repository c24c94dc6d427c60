"""The app behind a real server on a port of 127.0.0.1, in a thread of its own, for clients that are not asynchronous."""

import asyncio
import contextlib
import secrets
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import uvicorn

from tidings.outbound import Outbound
from tidings.secretbox import SecretBox
from tidings.settings import Settings
from tidings.store import workspaces
from tidings.store.database import open_database
from tidings.web.server import create_app
from tidings.web.services import Services
from tidings.workspaces import keys


@dataclass(frozen=True, slots=True)
class Served:
    """Where it is, and an operator's key."""

    url: str
    key: str


@contextlib.contextmanager
def served(settings: Settings, *, stopping: bool = False) -> Iterator[Served]:
    """Serves for the length of the block. With `stopping`, no answer is held back, whatever `wait` says."""
    ready = threading.Event()
    made: list[Served] = []
    servers: list[uvicorn.Server] = []

    async def serve(door: socket.socket) -> None:
        db, outbound = open_database(settings), Outbound(settings.allowed_networks)
        url = f"http://127.0.0.1:{door.getsockname()[1]}"
        services = Services(db, settings, SecretBox([secrets.token_bytes(32)]), outbound, url)
        if stopping:
            services.stopping.set()
        workspace_id = await db.write(workspaces.create, "Served", settings.default_plan)
        made.append(Served(url, (await keys.create(db, workspace_id, "test", "operator"))[1]))
        servers.append(uvicorn.Server(uvicorn.Config(create_app(services), proxy_headers=False, log_config=None, lifespan="off")))
        ready.set()
        try:
            await servers[0].serve(sockets=[door])
        finally:
            await outbound.aclose()
            db.close()

    with socket.create_server(("127.0.0.1", 0)) as door:
        thread = threading.Thread(target=lambda: asyncio.run(serve(door)), daemon=True)
        thread.start()
        assert ready.wait(60)
        try:
            yield made[0]
        finally:
            servers[0].should_exit = True
            thread.join(30)
