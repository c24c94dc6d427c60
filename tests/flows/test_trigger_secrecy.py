"""What a trigger URL gives away to those who do not have it, and to those who read the logs: nothing."""

import asyncio
import contextlib
import gc
import io
import itertools
import logging
import random
import secrets
import socket
import sqlite3
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import psycopg
import pytest
import structlog
from uvicorn.middleware.message_logger import MessageLoggerMiddleware

from tests.flows.commands import Server, a_data_source, answer, environment, serving
from tests.flows.webhook_house import House, Travel
from tidings.logs import MASK, configure_logs
from tidings.model.ids import new_random_id
from tidings.model.webhooks import TRIGGER_PATH
from tidings.web.serve import bind, serve_app
from tidings.web.server import create_app
from tidings.web.services import Services

SAMPLES = 10_000
RETRIES = 3
# Causes that take the way of another one, left out of the measurement: the fewer there are, the more samples each has.
ALIKE = {"empty secret", "nothing at all", "former secret, overlap ended"}
TOKEN = secrets.token_hex(16)


def app_of(house: House) -> Any:
    return create_app(Services(house.db, house.settings, house.box, house.outbound, "http://127.0.0.1"))


async def causes_of_404(house: House) -> dict[str, Callable[[], str]]:
    """A path for each way not to be known."""
    travel = Travel()
    hook = await house.trigger_hook()
    overlapped = await house.trigger_hook()
    await house.change(overlapped, secret="generate", overlap_seconds=60)
    travel.forward(61)
    former = hook.trigger_path
    hook = await house.change(hook, secret="generate")
    base, known = "/api/public/hooks", hook.trigger_path
    return {
        "unknown hook": lambda: f"{base}/{new_random_id()}/{hook.secret}",
        "wrong secret": lambda: f"{base}/{hook.id}/{secrets.token_hex(16)}",
        "former secret": lambda: former,
        "former secret, overlap ended": lambda: overlapped.trigger_path,
        "no secret": lambda: f"{base}/{hook.id}",
        "empty secret": lambda: f"{base}/{hook.id}/",
        "trailing slash": lambda: known + "/",
        "further segments": lambda: known + "/more",
        "too short": lambda: known[:-20],
        "bad characters": lambda: known[:-1] + "$",
        "no id": lambda: f"{base}/nonsense/{hook.secret}",
        "nothing at all": lambda: f"{base}/",
    }


async def asked(app: Any, path: str, sent: list[Any]) -> float:
    """Seconds that an answer took; `sent` gets it."""
    headers = [(b"host", b"x"), (b"user-agent", b"somebody"), (b"accept", b"*/*")]
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": headers, "client": ("127.0.0.1", 9)}

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    begun = time.perf_counter()
    await app(scope, receive, send)
    return time.perf_counter() - begun


async def test_all_404s_have_the_same_bytes(house: House) -> None:
    app = app_of(house)
    answers = {}
    for cause, path in (await causes_of_404(house)).items():
        sent: list[Any] = []
        await asked(app, path(), sent)
        answers[cause] = sent
    assert len(answers) == 12
    expected = answers["unknown hook"]
    assert expected[0]["status"] == 404
    assert [cause for cause, sent in answers.items() if sent != expected] == []


async def measure(app: Any, causes: dict[str, Callable[[], str]], took: dict[str, list[float]]) -> None:
    """Adds to the seconds by cause. They take turns in random order, so that whatever else the machine does at a time is done to all of them."""
    turns = [[(cause, path()) for cause, path in causes.items()] for _ in range(SAMPLES // len(causes) + 1)]
    for turn in turns:
        random.shuffle(turn)
    sent: list[Any] = []
    gc.collect()
    gc.disable()
    try:
        for cause, path in itertools.chain.from_iterable(turns):
            took[cause].append(await asked(app, path, sent))
            sent.clear()
    finally:
        gc.enable()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_all_404s_take_the_same_time(house: House) -> None:
    """The one test that looks at the clock: an attacker would. Within the process, so that little else is measured. On a machine that
    does much else, more samples are taken, each time of other hooks: noise goes away by that, and so does what the layout of memory does
    to a few URLs (5% are 7 us); what a cause takes longer does not."""
    took: dict[str, list[float]] = defaultdict(list)
    for _ in range(1 + RETRIES):
        causes = {cause: path for cause, path in (await causes_of_404(house)).items() if cause not in ALIKE}
        await measure(app_of(house), causes, took)
        medians = {cause: statistics.median(seconds) * 1e6 for cause, seconds in took.items()}
        spread = max(medians.values()) / min(medians.values())
        samples = sum(map(len, took.values()))
        print(f"{samples} samples, spread {spread:.3f}: " + ", ".join(f"{cause} {us:.1f} us" for cause, us in medians.items()))  # noqa: T201
        if spread <= 1.05:
            return
    pytest.fail(f"the medians of the causes of a 404 are further apart than 5%: {medians}")


def spellings(path: str) -> list[str]:
    """A trigger URL as programs and people spell it."""
    whole = "".join(f"%{ord(character):02x}" for character in path)
    once = quote(path, safe="")
    return [path, path.upper(), path + "/", "/" + path, once, quote(once), "/" + once[3:], "/" + whole[3:], "/" + whole[3:].replace("%", "%25"), path + "%20"]


def raw(server: Server, request: bytes) -> bytes:
    """The first bytes of the answer to a request, whatever it is."""
    port = urlsplit(server.url).port
    with socket.create_connection(("127.0.0.1", port or 0), timeout=30) as connection:
        connection.sendall(request)
        with contextlib.suppress(ConnectionError):
            return connection.recv(4096)
    return b""


def ask_everything(server: Server, hook: dict[str, Any]) -> None:
    """Every outcome of a trigger URL, and whatever else its text could end up in."""
    path = urlsplit(hook["url"]).path
    statuses = set()
    for spelling in spellings(path) + spellings(path[:-1] + "x") + spellings(path[:-1]):
        for method in ("GET", "POST", "HEAD"):
            head = f"{method} {spelling}?ref={hook['url']} HTTP/1.1\r\nHost: x\r\nReferer: {hook['url']}\r\nUser-Agent: see {hook['url']}\r\n"
            statuses.add(raw(server, head.encode() + b"Content-Length: 0\r\nConnection: close\r\n\r\n")[9:12])
    line = path.encode()
    statuses.add(raw(server, b"POST " + line + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")[9:12])
    statuses.add(raw(server, b"GET " + line + b" HTTP/1.1\r\nHost: x\r\nPurpose: prefetch\r\n\r\n")[9:12])
    for broken in (b"GET %s\x00 HTTP/1.1\r\n\r\n", b"G T %s HTTP/9\r\n\r\n", b"%s\r\n\r\n", b"GET %s HTTP/1.1\r\nno header\r\n\r\n"):
        statuses.add(raw(server, broken % line)[9:12])
    upgrade = b" HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n"
    statuses.add(raw(server, b"GET " + line + upgrade)[9:12])
    assert statuses >= {b"200", b"404", b"405", b"413", b"403", b"400"}, statuses


def break_the_schema(home: Path, database_url: str | None) -> None:
    """So that the next accepted call meets what nobody expected."""
    if database_url is None:
        with contextlib.closing(sqlite3.connect(home / "tidings.sqlite", timeout=30)) as db:
            db.execute("UPDATE webhooks SET last_used_at = 'never'")
            db.commit()
    else:
        with psycopg.connect(database_url, autocommit=True) as db:
            db.execute("ALTER TABLE trigger_calls RENAME TO away")


def everything_kept(home: Path, database_url: str | None) -> str:
    """The log of calls and what was last used, as text."""
    queries = ("SELECT * FROM trigger_log", "SELECT id, last_used_address, last_used_agent FROM webhooks")
    if database_url is None:
        with contextlib.closing(sqlite3.connect(home / "tidings.sqlite", timeout=30)) as db:
            return str([db.execute(query).fetchall() for query in queries])
    with psycopg.connect(database_url) as db:
        return str([db.execute(query).fetchall() for query in queries])


def test_no_secret_of_a_trigger_url_is_written_anywhere(database_url: str | None, home: Path, tmp_path: Path) -> None:
    """The real server, with all that Python has to say about its event loop, and every outcome."""
    debug = {"PYTHONASYNCIODEBUG": "1", "PYTHONDEVMODE": "1"}
    env = environment(home, database_url, TIDINGS_LOCAL_ROOTS=str(tmp_path), TIDINGS_METRICS_TOKEN=TOKEN, **debug)
    key = answer("setup", "--email", "ann@example.com", "--password", secrets.token_urlsafe(12), env=env)["apiKey"]
    with serving(env=env) as server:
        source = a_data_source(server, key, tmp_path)
        bot = server.api("GET", f"/data-sources/{source}", key)["botId"]
        made = [server.api("POST", f"/bots/{bot}/webhooks", key, {"type": "sync_trigger", "dataSourceId": source}) for _ in range(2)]
        former = made[0]
        hook = server.api("PATCH", f"/webhooks/{former['id']}", key, {"secret": "generate"})
        for one in (hook, made[1]):
            ask_everything(server, one)
        assert server.call("GET", urlsplit(former["url"]).path)[0] == 404
        server.api("PATCH", f"/webhooks/{made[1]['id']}", key, {"enabled": False})
        assert server.call("GET", urlsplit(made[1]["url"]).path)[0] == 403
        break_the_schema(home, database_url)
        status, told = server.call("GET", urlsplit(hook["url"]).path)
        assert (status, told["success"]) == (500, False)
        figures = raw(server, f"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n".encode())
        assert figures.startswith(b"HTTP/1.1 200")
        assert server.process.stop() == 0
        written = server.process.output.read() + "".join(server.process.errors) + figures.decode()
    assert "Traceback" in written
    written += everything_kept(home, database_url)
    assert MASK in written, "agents that tell the URL are kept without its secret"
    for secret in (hook["secret"], former["secret"], made[1]["secret"]):
        escaped = "".join(f"%{ord(character):02x}" for character in secret)
        for spelled in (secret, escaped, escaped.replace("%", "%25"), secret[:-1], secret[:12]):
            assert spelled.lower() not in written.lower()


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """All that is logged, down to uvicorn's finest."""
    root = logging.getLogger()
    before, stream = (root.handlers[:], root.level), io.StringIO()
    configure_logs(stream)
    root.setLevel(1)
    yield stream
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    structlog.reset_defaults()


async def test_no_secret_is_in_the_finest_log(house: House, logged: io.StringIO) -> None:
    """Uvicorn logs the scope of each request where it is told to log all; the paths in it are masked."""
    hook = await house.trigger_hook()
    traced = MessageLoggerMiddleware(app_of(house))
    listener, stop, listening = bind("127.0.0.1", 0), asyncio.Event(), asyncio.Event()
    serving_app = asyncio.create_task(serve_app(traced, listener, stop, listening.set))  # type: ignore[arg-type]
    await listening.wait()
    logging.getLogger("uvicorn.asgi").setLevel(1)
    for path in spellings(hook.trigger_path) + spellings(hook.trigger_path + "x"):
        if not unquote(path).startswith(TRIGGER_PATH):
            continue  # the framework answers, whose logger would keep this configuration for the tests that come
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert (await reader.read())[9:12] in {b"200", b"404", b"400"}
        writer.close()
    stop.set()
    await serving_app
    listener.close()
    lines = logged.getvalue()
    assert "Started scope" in lines
    assert lines.count(MASK) > 10
    for spelled in (hook.secret, "".join(f"%{ord(character):02x}" for character in hook.secret), hook.secret[:12]):
        assert spelled.lower() not in lines.lower()
