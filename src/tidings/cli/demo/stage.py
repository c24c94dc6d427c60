"""What the demo needs around it: a temporary home, a server and a receiver on free ports, and their end, however it comes."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from tidings.cli.demo.client import Client
from tidings.cli.demo.files import write_folder
from tidings.cli.demo.story import PLANS, Scene, tell
from tidings.cli.demo.telling import Teller
from tidings.cli.opening import opened
from tidings.cli.running import Running, run_tidings
from tidings.cli.serve import DEFAULT_HOST, stop_on_signals
from tidings.settings import Settings
from tidings.web.receiver import Received, Receiver
from tidings.web.serve import bind, serve_app, url_of
from tidings.webhooks.signing import new_signing_secret, parse_signing_secret
from tidings.workspaces.setup import setup

T = TypeVar("T")


async def perform(teller: Teller) -> bool:
    """The whole demo; False where somebody stopped it. TidingsError where something did not go as it should."""
    stop = asyncio.Event()
    stop_on_signals(stop, insistent=False)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tidings-demo-") as folder:
        telling = asyncio.create_task(_perform(Path(folder), teller))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({telling, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not telling.done():
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
            return False
        await telling
    teller.fact(done=True, seconds=round(time.monotonic() - started, 1))
    teller.say("", f"That was the whole loop, in {time.monotonic() - started:.0f} seconds. The server has stopped, and the temporary folder is gone.")
    return True


async def _perform(folder: Path, teller: Teller) -> None:
    docs = folder / "docs"
    counts = await asyncio.to_thread(write_folder, docs)
    # these settings and no others: what the user has set for a Tidings of their own does not count here
    settings = Settings.model_validate({"home": folder / "home", "local_roots": [docs], "allowed_networks": "127.0.0.0/8", "plans": PLANS})
    async with opened(settings, migrate=True) as db:
        _, key = await setup(db, settings, "demo@example.com", new_signing_secret(), "Demo")
    secrets = {kind: new_signing_secret() for kind in ("sync_success", "sync_failure")}
    arrived: asyncio.Queue[Received] = asyncio.Queue()
    receiver = Receiver(arrived.put_nowait, keys=[parse_signing_secret(secret) for secret in secrets.values()])
    async with _receiving(receiver) as target, _running(settings) as url:
        await tell(Scene(teller, Client(url, key), docs, counts, url, target, secrets, arrived))


@asynccontextmanager
async def _receiving(receiver: Receiver) -> AsyncIterator[str]:
    """The URL of a receiver that listens."""
    stop = asyncio.Event()
    listening: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    listener = bind(DEFAULT_HOST, 0)
    url = url_of(listener, DEFAULT_HOST)
    serving = asyncio.create_task(serve_app(receiver, listener, stop, lambda: listening.set_result(None)))
    try:
        await _first(listening, serving)
        yield url
    finally:
        stop.set()
        await serving


@asynccontextmanager
async def _running(settings: Settings) -> AsyncIterator[str]:
    """The URL of a Tidings that runs."""
    stop = asyncio.Event()
    ready: asyncio.Future[Running] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(run_tidings(settings, stop, ready.set_result, role="all", host=DEFAULT_HOST, port=0))
    try:
        running = await _first(ready, serving)
        yield running.url or ""
    finally:
        stop.set()
        await serving


async def _first(awaited: "asyncio.Future[T]", serving: asyncio.Task[None]) -> T:
    """What is awaited; or the error with which the server that should give it ended before."""
    ends: set[asyncio.Future[Any]] = {awaited, serving}
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    if not awaited.done():
        await serving
    return await awaited
