"""Everything that can go wrong, in one small tree.

TidingsError                 a sentence that says what happened and what to do about it
├── Invalid                  input that can't be taken; names the fields (HTTP 422, exit code 2)
├── NotFound                 not there, or another workspace's (404)
├── Unauthorized             no API key, or one that is not known (401)
├── Forbidden                known, but not allowed to (403)
├── Conflict                 can't be done in the present state (409)
├── Gone                     was there once; won't come back (410)
├── TooLarge                 over a limit on size (413)
├── TooMany                  asked for too often; later it is taken (429)
├── Unavailable              can't be done at this moment; trying again can help (503)
│   └── DiskFull             the database can be read, and keeps nothing more
├── LeaseLost                somebody else holds this work now: stop, write nothing
├── Unanswered               a request to another system got no whole answer; tells how far it came
│   ├── RefusedAddress       the address guard refused a target
│   └── RequestFailed        no name, no connection, no time, no sense in what came (trying again can help)
└── SourceError              a connector could not do its work
    ├── SourceUnreachable    the source as a whole did not answer (fails the sync)
    ├── SourceRejected       the source answered, and said no (fails the sync)
    └── RowError             one row only; the sync goes on
        ├── RowNotFetched    its bytes could not be had (counts towards failing the sync)
        └── RowNotRead       its bytes have no text that we can read (never fails a sync)

Only the edges (web, cli, worker) translate these into statuses, exit codes and retries.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field of the input; `field` is dotted, as in the JSON body (`config.path`)."""

    field: str
    message: str


class TidingsError(Exception):
    """Something that a person has to be told; `str()` is a whole sentence. `code` is stable, for programs."""

    code = "internal"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class Invalid(TidingsError):
    """Input that can't be taken. At least one field is named."""

    code = "invalid"

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(f"{e.field}: {e.message}" for e in errors))
        self.errors = errors


class NotFound(TidingsError):
    """There is no such thing here, or it is another workspace's, which is the same to the asker."""

    code = "not_found"


class Unauthorized(TidingsError):
    """No API key came with the request, or one that is not known."""

    code = "unauthorized"


class Forbidden(TidingsError):
    """The caller is known, but its role does not allow this."""

    code = "forbidden"


class Conflict(TidingsError):
    """The thing is in a state in which this can't be done."""

    code = "conflict"


class Gone(TidingsError):
    """What was asked for was there once and has been deleted for good."""

    code = "gone"


class TooLarge(TidingsError):
    """Over a limit on size."""

    code = "too_large"


class TooMany(TidingsError):
    """Asked for more often than is taken; after a while it is taken again."""

    code = "too_many"


class Unavailable(TidingsError):
    """Not at this moment; the same request may succeed later."""

    code = "unavailable"


class DiskFull(Unavailable):
    """Nothing more can be kept until there is room; what there is can be read."""

    def __init__(self) -> None:
        super().__init__("The disk that holds the database is full. Free some space on it; nothing else is needed.")


class LeaseLost(TidingsError):
    """The lease on a piece of work is somebody else's now, or the work has ended. The holder stops and writes nothing."""

    code = "lease_lost"


class Unanswered(TidingsError):
    """A request got no whole answer. Tells how far it came, as far as it is known: the address dialled, the milliseconds of each phase that was passed
    (`lookup`, `connect`, `tls`, `firstByte`, and `total`), the version of TLS, and when the peer's certificate ends (microseconds since 1970 UTC).
    """

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.address: str | None = None
        self.phases: dict[str, float] = {}
        self.tls: str | None = None
        self.certificate_until: int | None = None


class RefusedAddress(Unanswered):
    """The address guard refused a target. Trying again can't help unless the operator allows the network."""

    code = "refused_address"


class RequestFailed(Unanswered):
    """A request got no whole answer. The message says why; `code` is `dns`, `connect`, `tls`, `timeout`, `broken`,
    `unsendable` or `too_large`."""

    code = "broken"


class SourceError(TidingsError):
    """A connector could not do its work."""

    code = "source_unreachable"


class SourceUnreachable(SourceError):
    """The whole source could not be reached, or its root is missing: the sync fails."""

    code = "source_unreachable"


class SourceRejected(SourceError):
    """The source answered and refused: credentials, permissions, a query it does not take: the sync fails."""

    code = "source_rejected"


class RowError(SourceError):
    """One row is not to be had; the sync goes on and its last good version stays."""


class RowNotFetched(RowError):
    """The bytes of a row could not be had (I/O, network). Many of these fail the sync."""


class RowNotRead(RowError):
    """The bytes came, but no text: encrypted, damaged, unsupported, too large. Never fails a sync by itself."""
