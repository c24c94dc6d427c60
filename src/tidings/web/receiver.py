"""A receiver of webhooks: checks the signature of what arrives, says so, and answers: 401 where it is wrong; with errors, if that is to be tested."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from starlette.types import Receive, Scope, Send

from tidings import clock
from tidings.clock import Micros
from tidings.webhooks.signing import verify

LARGEST_BODY = 16 * 1024 * 1024  # bytes; what comes behind them is not kept


@dataclass(frozen=True, slots=True)
class Received:
    """One request. The names of `headers` are in lower case. `problem` says why a signature is wrong; `answered` is our status."""

    at: Micros
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    signature: Literal["valid", "wrong", "not checked"]
    problem: str | None
    answered: int

    def payload(self) -> Any:
        """The body as JSON; as a text where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return self.body.decode(errors="replace")


class Receiver:
    """An ASGI app. It answers the first `fail` requests with 500, each after `delay` seconds. `keys`: those of the signing secrets; without any,
    signatures are not checked; with them, a wrong one is answered 401."""

    def __init__(self, on_received: Callable[[Received], None], *, keys: Sequence[bytes] = (), fail: int = 0, delay: float = 0.0) -> None:
        self._on_received, self._keys, self._fail, self._delay = on_received, tuple(keys), fail, delay

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        body = await _body(receive)
        at = clock.now()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        problem = verify(self._keys, headers, body, at) if self._keys else None
        signature: Literal["valid", "wrong", "not checked"] = "not checked" if not self._keys else "valid" if problem is None else "wrong"
        answered = 200 if problem is None else 401
        if self._fail > 0:
            self._fail -= 1
            answered = 500
        path = scope["path"] + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
        self._on_received(Received(at, scope["method"], path, headers, body, signature, problem, answered))
        await asyncio.sleep(self._delay)
        content = json.dumps({"received": answered == 200}).encode()
        sized = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": answered, "headers": sized})
        await send({"type": "http.response.body", "body": content})


async def _body(receive: Receive) -> bytes:
    kept = bytearray()
    more = True
    while more:
        message = await receive()
        kept += message.get("body", b"")[: LARGEST_BODY - len(kept)]
        more = message["type"] == "http.request" and message.get("more_body", False)
    return bytes(kept)
