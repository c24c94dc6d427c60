"""What all tables share: their registry, the numbers that mean something, and what the databases write differently."""

from sqlalchemy import BigInteger, Integer, MetaData
from sqlalchemy.types import TypeEngine

metadata = MetaData(naming_convention={"pk": "pk_%(table_name)s", "fk": "fk_%(table_name)s_%(column_0_name)s", "ix": "ix_%(table_name)s_%(column_0_N_name)s"})

# A version that is not visible at any number: staged by a sync that did not end well, kept because its text may serve the next one.
PARKED = 2**62 - 1
# The end of a version that nothing has replaced.
FOREVER = 2**62


def serial() -> TypeEngine[int]:
    """A 64-bit number that the database gives out; SQLite knows only INTEGER as a self-numbering key."""
    return BigInteger().with_variant(Integer, "sqlite")
