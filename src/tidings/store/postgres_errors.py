"""What PostgreSQL says of itself (not of our data), as errors that say what to do."""

import contextlib
import re
from collections.abc import Iterator

import psycopg
from sqlalchemy.exc import InternalError, OperationalError, ProgrammingError

from tidings.errors import DiskFull, Unavailable

# a serialization failure, a deadlock, a lock that was not to be had in time
_LOST = {"40001", "40P01", "55P03"}
# Where it is and who we are there: the operator knows it by the URL, and strangers, who are told as well why nothing can be served, need not.
_ADDRESS = re.compile(r"""^connection (?:failed|is bad): |connection to server (?:at|on socket) .*? failed: | "[^"]*"| '[^']*'""")


class LostAgainstAnother(Unavailable):
    """The same transaction, run again, can succeed."""


@contextlib.contextmanager
def sentences() -> Iterator[None]:
    """Raises Unavailable in place of what the server or the way to it is to blame for."""
    try:
        yield
    except (OperationalError, InternalError, psycopg.OperationalError, psycopg.InternalError) as error:
        cause: BaseException = getattr(error, "orig", None) or error
        if getattr(cause, "sqlstate", None) in _LOST:
            raise LostAgainstAnother("Another request changed the same things at the same moment. Try again.") from error
        if getattr(cause, "sqlstate", None) == "53100":
            raise DiskFull from error
        said = _ADDRESS.sub("", str(cause).strip().split("\n", 1)[0])
        raise Unavailable(f"PostgreSQL does not answer: {said}. Check that it runs and that TIDINGS_DATABASE_URL names it.") from error
    except ProgrammingError as error:
        if error.statement is not None:
            raise
        said = _ADDRESS.sub("", str(error.orig).strip().split("\n", 1)[0])  # nothing was asked yet: it is about the URL
        raise Unavailable(f"PostgreSQL can't be asked: {said}. Correct the options of TIDINGS_DATABASE_URL.") from error
