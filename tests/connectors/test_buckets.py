"""Buckets whose answers break off, have no end, or are none."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import pytest

from tests.connectors.stores import Bucket
from tests.connectors.test_stores import contents
from tidings.errors import SourceUnreachable


@pytest.fixture
async def bucket() -> AsyncIterator[Bucket]:
    made = Bucket().start()
    made.send("PUT", "/docs")
    for name in ("a.md", "b.md", "c.md"):
        made.put(name, b"# " + name.encode())
    yield made
    await asyncio.to_thread(made.send, "POST", "/moto-api/reset", b"")
    await asyncio.to_thread(made.stop)


def config_of(bucket: Bucket) -> dict[str, Any]:
    return {"url": "s3://docs", "options": {"endpoint": bucket.url, "key": "me", "secret": "sesame"}}


async def test_an_object_that_breaks_off_is_one_failed_row(bucket: Bucket) -> None:
    app = bucket.app
    cut = {"/docs/a.md": 9, "/docs/b.md": 10}

    def breaking(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] not in cut:
            return app(environ, start_response)
        start_response("200 OK", [("ETag", '"x"'), ("Last-Modified", "Mon, 01 Jan 2001 00:00:00 GMT"), ("Content-Length", str(cut[environ["PATH_INFO"]]))])
        return [b"# A broke"]

    bucket.app = breaking
    found = await contents(config_of(bucket))
    assert (found["a.md"], found["b.md"]) == (b"# A broke", "The file can't be read. The connection failed (ClientPayloadError).")
    assert len(found) == 3


def _listing(inside: str) -> bytes:
    return f"<?xml version='1.0'?><ListBucketResult>{inside}</ListBucketResult>".encode()


@pytest.mark.parametrize(
    "answer",
    [
        b"<html><body><p>Sign in first.</p></body></html>",
        _listing(""),
        _listing("<IsTruncated>true</IsTruncated>"),
        _listing("<IsTruncated>true</IsTruncated><NextContinuationToken>again</NextContinuationToken>"),
        _listing("<IsTruncated>false</IsTruncated><Contents><Key>a.md</Key></Contents>"),
    ],
)
async def test_what_is_no_listing_of_a_bucket_is_not_taken_for_an_empty_one(bucket: Bucket, answer: bytes) -> None:
    bucket.failing["/docs"] = ("200 OK", answer)
    with pytest.raises(SourceUnreachable, match="no listing"):
        await contents(config_of(bucket))


async def test_an_answer_without_end_of_a_bucket_is_left(bucket: Bucket) -> None:
    sent = 0

    def endless(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        nonlocal sent
        start_response("200 OK", [("Content-Type", "application/xml")])
        while sent < 100:
            sent += 1
            yield bytes(1 << 20)

    bucket.app = endless
    with pytest.raises(SourceUnreachable, match="more than 16 MB"):
        await contents(config_of(bucket))
    assert sent < 100
