"""HTTP/1.1 of a connection: uvicorn's, within bounds that it does not have, and with wishes for another protocol ignored."""

from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MAX_HEAD = 128 * 1024  # bytes of a request's line and headers; a bit more passes where they come in one piece
PATIENCE_SECONDS = 60.0  # for a whole head, and for each next piece of a body
LONGEST_URL = 60_000  # bytes: uvicorn's parser takes less than 64 KiB
LONGEST_PARAMETER = 8 * 1024  # of the query of a longer URL; what a parameter says is told by much less
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Protocol(HttpToolsProtocol):
    """One connection. A client that asks for an upgrade (Java's own does, to `h2c`, with every request) is answered in HTTP/1.1, as RFC 9110, 7.8
    wants: the parser takes what follows such a head for another protocol, so it is given the head again, without the wish."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting_since = self.loop.time()
        self._head_open = False
        self._head_size = 0
        self._just_begun = False
        self._unread = 0  # bytes of answers, when last looked
        self._unread_since = 0.0

    def data_received(self, data: bytes) -> None:
        """Some bytes of one request, or of several."""
        self._unset_keepalive_if_required()
        self._just_begun = False
        if not self._head_open:
            self._waiting_since = self.loop.time()
        waiting = data
        while waiting:
            try:
                self.parser.feed_data(waiting)
                waiting = b""
            except httptools.HttpParserUpgrade as upgrade:
                waiting = self._head_without_upgrade() + waiting[upgrade.args[0] :]
            except httptools.HttpParserError:
                self.logger.warning("Invalid HTTP request received.")
                self.send_400_response("Invalid HTTP request received.")
                return
        if self._head_open and not self._just_begun:
            self._head_size += len(data)
            if self._head_size > MAX_HEAD:
                self.transport.write(_TOO_LONG)
                self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._head_open = self._just_begun = True
        self._head_size = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A head is whole; one that wishes for another protocol comes again."""
        if self.parser.get_method() == b"CONNECT":
            raise ValueError("CONNECT is for proxies")
        self._head_open = False
        self.url = shortened(self.url)
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """The next request may come."""
        self._waiting_since = self.loop.time()
        super().on_response_complete()

    def close_if_overdue(self, patience: float) -> None:
        """Ends the connection where the client owes the rest of a head, or the next piece of a body, or does not read its answer, for more than so many
        seconds. Asked once a second."""
        now, unread = self.loop.time(), self.transport.get_write_buffer_size()
        if unread == 0 or unread != self._unread:
            self._unread, self._unread_since = unread, now
        elif now - self._unread_since > patience:
            self.transport.abort()
            return
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            owing = self._head_open or self.timeout_keep_alive_task is None  # else uvicorn's timer waits for the next request
        else:
            owing = cycle.more_body and not self.flow.read_paused
        if owing and now - self._waiting_since > patience:
            self.transport.close()

    def _should_upgrade(self) -> bool:
        return True  # nothing is begun with a head that asks for it: it comes again

    def _head_without_upgrade(self) -> bytes:
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])


def shortened(url: bytes) -> bytes:
    """A URL that the parser takes. Of one that is too long each parameter of the query is cut, and what is still too long goes."""
    if len(url) <= LONGEST_URL:
        return url
    path, mark, query = url.partition(b"?")
    return (path + mark + b"&".join(part[:LONGEST_PARAMETER] for part in query.split(b"&")))[:LONGEST_URL]
