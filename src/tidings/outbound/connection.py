"""One connection of HTTP/1.1: requests go out one by one, answers come back within bounds."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import cast

import httptools

from tidings.outbound.answer import Answer, Journey
from tidings.outbound.excerpt import Excerpt
from tidings.outbound.failures import Malformed

HEAD_BYTES = 64 * 1024  # status line and headers, with all informational answers before
WIRE_BYTES = 512 * 1024  # a body with what frames it: chunks may be small, their extensions and trailers long


class Connection(asyncio.Protocol):
    """Made for `loop.create_connection`. While nothing is asked, whatever the peer sends ends it.

    `endpoint` is where it leads, `left` is told when it is lost. `address`, `tls` and `certificate_until` are as in an Answer.
    """

    __slots__ = (
        "_answer", "_complete", "_excerpt", "_fault", "_full", "_headers", "_journey", "_keep", "_left", "_loop", "_parser", "_room", "_status",
        "_transport", "address", "certificate_until", "endpoint", "heard", "tls",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, endpoint: str, address: str, left: Callable[["Connection"], None]) -> None:
        self.endpoint = endpoint
        self.address = address
        self.tls: str | None = None
        self.certificate_until: int | None = None
        self.heard = False  # whether any byte of the present answer has come
        self._loop = loop
        self._left = left
        self._answer: asyncio.Future[Answer] | None = None
        self._fault: Exception | None = None
        self._transport: asyncio.Transport
        self._parser: httptools.HttpResponseParser | None = None

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        return self._answer is None and not self._transport.is_closing()

    def exchange(self, request: bytes, journey: Journey) -> asyncio.Future[Answer]:
        """Sends a request; its answer. Fails with OSError or Malformed where no whole answer comes. Whoever waits for it no longer has to `close`."""
        self._answer = answer = self._loop.create_future()
        self._journey = journey
        journey.phase, journey.address, journey.tls, journey.certificate_until = "answer", self.address, self.tls, self.certificate_until
        self.heard = self._complete = self._full = False
        self._keep = True
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._excerpt: Excerpt | None = None
        self._room = HEAD_BYTES
        journey.sent = monotonic()
        if self._transport.is_closing():
            self.fail(self._fault or ConnectionResetError())
        else:
            self._transport.write(request)
        return answer

    def close(self) -> None:
        """Nobody waits for an answer any more."""
        self._answer = None
        self._transport.abort()

    def fail(self, error: Exception) -> None:
        """Ends the exchange under way, and the connection."""
        answer, self._answer = self._answer, None
        self._transport.abort()
        if answer is not None and not answer.done():
            answer.set_exception(error)

    # what the loop calls ------------------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = parser = httptools.HttpResponseParser(self)
        # the harmless sloppiness of servers in the wild: bare line feeds, spaces behind chunk sizes, odd characters in headers
        parser.set_dangerous_leniencies(lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True)

    def data_received(self, data: bytes) -> None:
        """An answer, or a piece of one."""
        if self._answer is None or self._parser is None:
            self._fault = Malformed("it spoke before it was asked")
            self._transport.abort()
            return
        if not self.heard:
            self.heard = True
            self._journey.passed("firstByte", self._journey.sent)
        try:
            if not self._status and len(data) > (room := self._room):
                self._parser.feed_data(data[:room])
                if not self._status:
                    raise Malformed(f"{HEAD_BYTES // 1024} KiB are the most")  # noqa: TRY301 - as the parser's own verdicts
                data = data[room:]
            self._room -= len(data)
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, Malformed) as error:
            if not self._complete and not self._full:
                raised = error.__context__  # by one of our own methods, which the parser called
                self.fail(raised if isinstance(raised, Exception) else Malformed(str(error)))
                return
            self._keep = False  # what is wrong came behind the answer
        if self._complete or self._full or (self._room < 0 and self._status):
            self._settle()

    def connection_lost(self, exc: Exception | None) -> None:
        """No more will come; for some answers that is how they end."""
        self._parser = None  # it holds on to this connection
        self._left(self)
        if exc is None and self._answer is not None and self._status and self._ends_with_the_connection():
            self._complete = True
            self._settle()
        self.fail(exc if isinstance(exc, OSError) else ConnectionResetError())

    # what the parser calls ----------------------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """An answer begins."""
        if self._complete:
            raise Malformed("there is more than one answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; or a trailer, which the parser may mistake for a header of the next answer, so there is none."""
        if self._status:
            self._keep = False
        else:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The body begins. Informational answers are passed over."""
        assert self._parser is not None
        status = self._parser.get_status_code()
        if status >= 200:
            self._status, self._room, self._journey.phase = status, WIRE_BYTES, "body"
        elif status == 101 or status < 100:
            raise Malformed(f"nobody asked for a {status:03}")
        else:
            self._headers.clear()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self._excerpt is None:
            self._excerpt = Excerpt(self._header(b"content-encoding").decode(errors="replace"))
        if not self._full:
            self._full = not self._excerpt.feed(body)

    def on_message_complete(self) -> None:
        """The end of an answer."""
        assert self._parser is not None
        if self._status:
            self._complete = True
            self._keep = self._keep and self._parser.should_keep_alive()

    # ---------------------------------------------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Hands out the answer; the connection goes on where both sides are at its end."""
        answer, self._answer = self._answer, None
        if not self._keep or self._full or not self._complete or self._transport.get_write_buffer_size():
            self._transport.abort()  # unread and unsent bytes go with it
        if answer is not None and not answer.done():
            excerpt = self._excerpt
            body, truncated = (b"", False) if excerpt is None else (excerpt.body, excerpt.truncated)
            answer.set_result(self._journey.answered(self._status, self._headers, body, truncated or not self._complete))

    def _ends_with_the_connection(self) -> bool:
        codings = self._header(b"transfer-encoding")
        return codings.rpartition(b",")[2].strip(b" ").lower() != b"chunked" if codings else not self._header(b"content-length")

    def _header(self, wanted: bytes) -> bytes:
        return b",".join([value for name, value in self._headers if name.strip().lower() == wanted])
