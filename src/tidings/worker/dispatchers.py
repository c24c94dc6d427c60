"""Dispatchers as processes of their own, for `serve --dispatchers N` on PostgreSQL. As a program, this module is one of them.

The pipe on a dispatcher's standard input brings the settings, and where we ourselves are reached, and then nothing: when it ends, whoever started
the dispatcher is gone, and so it goes too.
"""

import asyncio
import gc
import os
import pickle
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress

import structlog
import uvloop

from tidings.logs import configure_logs
from tidings.outbound import Outbound, Place
from tidings.secretbox import SecretBox, load_or_create_secret_key
from tidings.settings import Settings
from tidings.store.database import open_database
from tidings.worker.dispatch_loop import dispatch

PAUSE_SECONDS = 1.0  # before another one takes the place of one that died
ORPHAN_SECONDS = 5.0  # for what an orphan has under way; leases of what takes longer run out by themselves

# What a dispatcher is told: the settings, where we ourselves are reached, and what the URLs of our inboxes begin with.
Told = tuple[Settings, frozenset[Place], str | None]

_log = structlog.get_logger("tidings.dispatchers")


def owner() -> str:
    """The name under which this process holds leases."""
    return f"{socket.gethostname()}:{os.getpid()}"


async def run_dispatchers(told: Told, count: int, stop: asyncio.Event) -> None:
    """Keeps `count` dispatchers running until `stop`, then stops them cleanly; cancelled, it kills them."""
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(_keep_one(told, stop))


async def _keep_one(told: Told, stop: asyncio.Event) -> None:
    """Keeps one dispatcher running: another one takes its place when it ends."""
    while not stop.is_set():
        try:
            process = await asyncio.create_subprocess_exec(sys.executable, "-P", "-m", __name__, stdin=PIPE)
        except OSError as error:
            _log.error("dispatcher_not_started", reason=f"The system refuses a process: {error.strerror}. It is tried again.")
        else:
            await _look_after(process, pickle.dumps(told), stop)
            if not stop.is_set():
                _log.error("dispatcher_ended", pid=process.pid, code=process.returncode, reason="A dispatcher ended by itself. Another one takes its place.")
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), PAUSE_SECONDS)


async def _look_after(process: Process, told: bytes, stop: asyncio.Event) -> None:
    """Returns when the dispatcher has ended, by itself or because of `stop`."""
    assert process.stdin is not None
    ended, stopping = asyncio.create_task(process.wait()), asyncio.create_task(stop.wait())
    try:
        with suppress(RuntimeError, OSError):  # it has ended already
            process.stdin.write(told)
        await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            with suppress(ProcessLookupError):
                process.terminate()
            await ended
    finally:
        stopping.cancel()
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        process.stdin.close()


async def _serve(settings: Settings, own: frozenset[Place], inboxes: str | None) -> None:
    """A dispatcher's life: until SIGTERM, or until nobody is at the other end of the pipe."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def orphaned() -> None:
        loop.remove_reader(sys.stdin.fileno())
        stop.set()
        loop.call_later(ORPHAN_SECONDS, os._exit, 1)

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(sys.stdin.fileno(), orphaned)
    box = SecretBox(load_or_create_secret_key(settings.home, settings.secret_key.get_secret_value() if settings.secret_key else None))
    outbound = Outbound(settings.allowed_networks, own=own, inboxes=inboxes, client=settings.http_client)
    db = open_database(settings)
    try:
        await dispatch(db, settings, box, outbound, owner(), stop)
    finally:
        await outbound.aclose()
        db.close()


def main() -> None:
    """Runs one dispatcher with what it is told."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the business of whoever started this
    configure_logs()
    try:
        told: Told = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started this one
    except (EOFError, pickle.UnpicklingError):
        return  # it has ended already
    gc.freeze()  # nothing of what is loaded now ever goes
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(*told))


if __name__ == "__main__":
    main()
