"""A PostgreSQL database that a test has used is as new for the next one, or is not used again."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.postgres import create_database, drop_database, empty_database, schema_of

TABLES = """
CREATE TABLE alembic_version (version_num text);
INSERT INTO alembic_version VALUES ('1');
CREATE TABLE sources (n int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
CREATE TABLE pages (source int REFERENCES sources);
"""


@pytest.fixture
def url(postgres_url: str) -> Iterator[str]:
    url = create_database(postgres_url)
    with psycopg.connect(url) as connection:
        connection.execute(TABLES)
    yield url
    drop_database(postgres_url, url)


def test_it_is_emptied_and_nobody_stays_connected(url: str) -> None:
    schema = schema_of(url)
    for _ in range(2):
        with psycopg.connect(url, autocommit=True) as connection:
            assert connection.execute("SELECT count(*) FROM pages").fetchone() == (0,)
            assert connection.execute("INSERT INTO sources DEFAULT VALUES RETURNING n").fetchone() == (1,)
            connection.execute("INSERT INTO pages VALUES (1)")
            assert empty_database(url, schema)
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE pages RENAME TO away; ALTER TABLE away RENAME TO pages",
        "ALTER TABLE pages ADD at int",
        "CREATE TABLE more (n int)",
        "DROP TABLE pages",
        "CREATE INDEX ON pages (source)",
        "UPDATE alembic_version SET version_num = '2'",
    ],
)
def test_one_with_another_schema_is_not_as_new(url: str, change: str) -> None:
    schema = schema_of(url)
    with psycopg.connect(url) as connection:
        connection.execute(change)
    assert not empty_database(url, schema)
