"""What comes back from a request, and how far a request has come."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple

from tidings.errors import Unanswered

KEPT_HEADER_BYTES = 16 * 1024
LEFT_OUT = "…"  # stands where a header's name does; a name has ASCII alone


class Answer(NamedTuple):  # made for every request: a frozen dataclass of nine costs as much as all the parsing
    """What came back: `headers` by lower-case name, `body` at most 16 KiB after decompression, the time in milliseconds, the address dialled.

    `phases`: milliseconds for those of `lookup`, `connect`, `tls`, `firstByte` and `total` that took place; a kept connection has the last two only.
    `tls`: the version, `TLSv1.3`. `certificate_until`: when the peer's certificate ends, microseconds since 1970 UTC.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    truncated: bool
    duration_ms: int
    address: str
    phases: dict[str, float]
    tls: str | None
    certificate_until: int | None


@dataclass(frozen=True, slots=True)
class Got:
    """What came back from a GET: `headers` by lower-case name, `body` whole, after decompression, as bytes."""

    status: int
    headers: dict[str, str]
    body: bytes


class Journey:
    """How far one request has come; filled in by those whom it passes."""

    __slots__ = ("address", "began", "certificate_until", "dialled", "inbox", "phase", "phases", "sent", "tls")

    def __init__(self) -> None:
        self.began = monotonic()
        self.phase = "send"  # then lookup, connect, tls, answer, body; a kept connection goes straight to answer
        self.phases: dict[str, float] = {}
        self.sent = self.began
        self.dialled = False
        self.inbox = False  # whether it leads to an inbox of ours (`Seam.admit`)
        self.address = ""
        self.tls: str | None = None
        self.certificate_until: int | None = None

    def passed(self, phase: str, since: float) -> float:
        """Notes the milliseconds of a phase, exact to the microsecond; what time it is (monotonic seconds)."""
        now = monotonic()
        self.phases[phase] = int((now - since) * 1e6) / 1e3
        return now

    def told_by(self, error: Unanswered) -> Unanswered:
        """The error, which now tells of this journey."""
        self.passed("total", self.began)
        error.address, error.phases, error.tls, error.certificate_until = self.address or None, self.phases, self.tls, self.certificate_until
        return error

    def answered(self, status: int, raw_headers: Sequence[tuple[bytes, bytes]], body: bytes, truncated: bool) -> Answer:  # noqa: FBT001 - as Answer has it
        """The answer to which it led."""
        seconds = self.passed("total", self.began) - self.began
        return Answer(status, kept_headers(raw_headers), body, truncated, round(seconds * 1e3), self.address, self.phases, self.tls, self.certificate_until)


def kept_headers(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers of an answer as text, repeated ones joined by commas (RFC 9110, section 5.3): the first 16 KiB, and a word where there were more."""
    kept: dict[str, str] = {}
    room = KEPT_HEADER_BYTES
    for raw_name, raw_value in raw:
        room -= len(raw_name) + len(raw_value)
        if room < 0:
            kept[LEFT_OUT] = "more came; of headers the first 16 KiB are kept"
            break
        # servers that are careless about headers put anything into them; databases take no NUL
        name, value = raw_name.decode(errors="replace").strip().lower(), raw_value.decode(errors="replace").replace("\0", "\ufffd")
        kept[name] = f"{kept[name]}, {value}" if name in kept else value
    return kept
