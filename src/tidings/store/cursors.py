"""What stands in the cursors of lists: the id or the number of the last thing on the page before."""

from tidings.errors import FieldError, Invalid
from tidings.model.ids import is_id


def id_in(cursor: str) -> str:
    """The id in a cursor of ours. Invalid on `cursor`."""
    if not is_id(cursor):
        raise Invalid(FieldError("cursor", "This is no cursor of ours. Send back the nextCursor of the page before."))
    return cursor.lower()
