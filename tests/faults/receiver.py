"""Whoever receives the webhooks: notes every POST, verifies it, answers well, badly or slowly."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

REFUSED_AT_MOST = 3  # times for each webhook-id, so that no retry schedule runs out


@dataclass(frozen=True, slots=True)
class Arrival:
    """One POST as it came."""

    hook: str
    id: str
    headers: dict[str, str]  # names in lower case
    body: bytes
    status: int  # what it was answered


@dataclass
class Receiver:
    """A real HTTP server on loopback. The path of a request is the name of its hook; `secrets` by that name verify it."""

    dice: random.Random
    refuses: float = 0.15  # share of the POSTs answered 500
    slow: float = 0.15  # share of them answered late
    slowest: float = 0.4  # seconds
    secrets: dict[str, str] = field(default_factory=dict)
    arrivals: list[Arrival] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    answered: threading.Event = field(default_factory=threading.Event)  # set whenever a 200 has gone out
    url: str = ""
    _refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, hook: str, headers: dict[str, str], body: bytes) -> tuple[int, float]:
        """Notes one POST: (status to answer with, seconds to wait before)."""
        id_ = headers.get("webhook-id", "")
        try:
            Webhook(self.secrets[hook]).verify(body, headers)
        except Exception as error:  # noqa: BLE001 - whatever the verifier says, the test tells it
            self.wrong.append(f"{hook} {id_}: {error!r}")
        with self._lock:
            refuse = self.dice.random() < self.refuses and self._refused[hook, id_] < REFUSED_AT_MOST
            self._refused[hook, id_] += refuse
            wait = self.dice.uniform(0, self.slowest) if self.dice.random() < self.slow else 0.0
            status = 500 if refuse else 200
            self.arrivals.append(Arrival(hook, id_, headers, body, status))
        return status, wait

    def taken(self) -> set[tuple[str, str]]:
        """(hook, webhook-id) of all that were answered 200."""
        return {(each.hook, each.id) for each in list(self.arrivals) if each.status == 200}

    def await_one(self, hook: str, seconds: float = 30.0) -> Arrival:
        """The first POST for a hook that was answered 200."""
        return self._await(lambda each: each.hook == hook, seconds, hook)

    def await_sync(self, sync_id: str, seconds: float) -> Arrival:
        """The first POST that tells of a sync and was answered 200."""
        return self._await(lambda each: each.headers["tidings-sync-id"] == sync_id, seconds, sync_id)

    def _await(self, fits: Callable[[Arrival], bool], seconds: float, what: str) -> Arrival:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for each in list(self.arrivals):
                if each.status == 200 and fits(each):
                    return each
            time.sleep(0.02)
        raise AssertionError(f"Nothing came for {what} within {seconds:g} s")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    receiver: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        status, wait = self.receiver.take(self.path.strip("/"), {name.lower(): value for name, value in self.headers.items()}, body)
        time.sleep(wait)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
        if status == 200:
            self.receiver.answered.set()

    def log_message(self, *_: Any) -> None:
        """Says nothing: the test looks at what was noted."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """A sender that was killed breaks its connections; that is what this is for."""


@contextmanager
def receiving(receiver: Receiver) -> Iterator[Receiver]:
    """Serves the receiver for the length of the block."""
    handler = type("Handler", (_Handler,), {"receiver": receiver})
    with _Server(("127.0.0.1", 0), handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
