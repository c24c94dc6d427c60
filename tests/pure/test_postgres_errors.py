"""What PostgreSQL says of itself, as everybody may hear it."""

import psycopg
import pytest
from sqlalchemy import create_engine

from tidings.errors import Unavailable
from tidings.store.postgres_errors import sentences


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            'connection failed: connection to server at "10.0.0.7", port 5432 failed: Connection refused\n\tIs the server running on that host?',
            "Connection refused",
        ),
        ('connection failed: connection to server at "db.internal" (10.0.0.7), port 5432 failed: timeout expired', "timeout expired"),
        ('connection is bad: connection to server on socket "/run/pg/.s.PGSQL.5432" failed: No such file or directory', "No such file or directory"),
        ("failed to resolve host 'db.internal': [Errno -2] Name or service not known", "failed to resolve host: [Errno -2] Name or service not known"),
        (
            'connection failed: connection to server at "10.0.0.7", port 5432 failed: FATAL:  password authentication failed for user "tidings"',
            "FATAL:  password authentication failed for user",
        ),
        ("server closed the connection unexpectedly\n\tThis probably means", "server closed the connection unexpectedly"),
    ],
)
def test_why_it_does_not_answer_and_not_where_it_is(said: str, told: str) -> None:
    with pytest.raises(Unavailable) as failed, sentences():
        raise psycopg.OperationalError(said)
    assert str(failed.value) == f"PostgreSQL does not answer: {told}. Check that it runs and that TIDINGS_DATABASE_URL names it."


@pytest.mark.parametrize(("option", "told"), [("nothing=1", "invalid connection option"), ("connect_timeout=soon", "bad value for connect_timeout")])
def test_an_option_of_the_url_that_will_not_do_is_told_of(option: str, told: str) -> None:
    engine = create_engine(f"postgresql+psycopg://me:hidden@127.0.0.1:1/x?{option}")
    with pytest.raises(Unavailable, match=f"{told}.*Correct the options of TIDINGS_DATABASE_URL") as failed, sentences(), engine.connect():
        pass
    assert "hidden" not in str(failed.value)
