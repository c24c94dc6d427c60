"""Buckets that speak the protocol of S3: Amazon's own, Google Cloud Storage by its interoperable interface, MinIO and many more."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from typing import Any, ClassVar

from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore import UNSIGNED
from botocore.exceptions import BotoCoreError, ClientError

from tidings.connectors.base import SourceContext
from tidings.connectors.reading import too_large
from tidings.connectors.stores.base import CONNECT_SECONDS, PAGE, SILENCE_SECONDS, Content, Entry, Store, look_up_each, tried, trouble_of, version_of
from tidings.connectors.stores.places import Place
from tidings.errors import RowNotRead
from tidings.outbound.through_aiohttp import ClientTrouble

PIECE = 1 << 20
ANSWER_BYTES = 16 << 20  # of what is no object: a page of a listing, an error
TOO_LONG = f"It answered with more than {ANSWER_BYTES >> 20} MB that are no object."
NO_LISTING = "What it answers is no listing of a bucket."
ARCHIVED = "The object is in an archive storage class. Restore it, or move it to another class."
_MISSING = {"NoSuchKey", "NoSuchBucket", "404"}
_BUSY = {"SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "RequestLimitExceeded", "429"}
_session = AioSession()  # it reads the description of the service once; credentials belong to clients


class _Answer(AioAWSResponse):  # type: ignore[misc]  # libraries without types, here and below
    """An answer that the library takes in whole, however much a server sends."""

    _content: bytes | None

    async def _content_prop(self) -> bytes:
        if self._content is None:
            content = bytearray()
            async with self.raw:
                while piece := await self.raw.content.read(PIECE):
                    content += piece
                    if len(content) > ANSWER_BYTES:
                        raise RowNotRead(TOO_LONG)
            self._content = bytes(content)
        return self._content


class _Session(AIOHTTPSession):  # type: ignore[misc]
    """Leaves it to `_Answer` to take in an answer."""

    async def send(self, request: Any) -> _Answer:
        streamed, request.stream_output = request.stream_output, True
        got = await super().send(request)
        answer = _Answer(got.url, got.status_code, got.headers, got.raw)
        if not streamed:
            await answer.content
        return answer


class S3Store(Store):
    """The objects below a prefix of a bucket."""

    at_once: ClassVar[int] = 16

    def __init__(self, client: Any, bucket: str, prefix: str, closing: AsyncExitStack) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._closing = closing

    async def list_folder(self, path: str) -> AsyncIterator[Sequence[Entry]]:  # noqa: ARG002 - a bucket has no folders
        """All objects, page by page. A prefix that nothing lies below is a folder that is not there."""
        more: dict[str, str] = {}
        empty = True
        while True:
            page = await tried(lambda: self._page(more))  # noqa: B023 - it is awaited at once
            found = page.get("Contents", ())
            empty = empty and not found
            before = more
            try:
                entries = [self._entry(one) for one in found if not one["Key"].endswith("/")]
                more = {"ContinuationToken": page["NextContinuationToken"]} if page["IsTruncated"] else {}
            except KeyError as error:
                raise OSError(NO_LISTING) from error
            yield entries
            if not more:
                break
            if more == before:  # it would go on for ever
                raise OSError(NO_LISTING)
        if empty and self._prefix:
            raise FileNotFoundError

    async def find(self, paths: Sequence[str]) -> Mapping[str, Entry]:
        """By a request for the head of each object."""
        return await look_up_each(lambda path: tried(lambda: self._look_up(path)), paths, self.at_once)

    async def read(self, path: str, version: str | None, limit: int) -> Content:  # noqa: ARG002 - it tells the version itself
        """The object, with the ETag that came with its bytes."""
        return await tried(lambda: self._read(path, limit))

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._closing.aclose()

    async def _page(self, more: dict[str, str]) -> Any:
        with _translated():
            return await self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=PAGE, **more)

    async def _look_up(self, path: str) -> Entry:
        with _translated():
            head = await self._client.head_object(Bucket=self._bucket, Key=self._prefix + path)
        return Entry(path, version_of(head.get("ETag"), head["LastModified"], head["ContentLength"]), head["ContentLength"])

    async def _read(self, path: str, limit: int) -> Content:
        with _translated():
            answer = await self._client.get_object(Bucket=self._bucket, Key=self._prefix + path)
            content = bytearray()
            async with answer["Body"] as body:
                while piece := await body.read(PIECE):
                    content += piece
                    if len(content) > limit:
                        raise too_large(limit)
        return Content(bytes(content), version_of(answer.get("ETag"), answer["LastModified"], len(content)))

    def _entry(self, found: Any) -> Entry:
        return Entry(found["Key"][len(self._prefix) :], version_of(found.get("ETag"), found["LastModified"], found["Size"]), found["Size"])


async def open_store(place: Place, context: SourceContext) -> S3Store:
    """A client of its own for each sync, with the credentials of the data source or none: those of the machine are nobody's business."""
    proxy = (await context.outbound.proxy()).url
    options = place.options
    amazon = options.endpoint is None and place.scheme == "s3"
    config = AioConfig(
        proxies={"http": proxy, "https": proxy},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=SILENCE_SECONDS,
        max_pool_connections=S3Store.at_once,
        retries={"total_max_attempts": 1},
        signature_version=UNSIGNED if options.key is None else "s3v4",
        s3={"addressing_style": "auto" if amazon else "path"},
        response_checksum_validation="when_required",
        ignore_configured_endpoint_urls=True,
        http_session_cls=_Session,
    )
    closing = AsyncExitStack()
    client = await closing.enter_async_context(
        _session.create_client(
            "s3",
            region_name=options.region or ("us-east-1" if place.scheme == "s3" else "auto"),
            endpoint_url=None if amazon else place.endpoint,
            aws_access_key_id=options.key,
            aws_secret_access_key=options.secret,
            aws_session_token=options.token,
            config=config,
        )
    )
    return S3Store(client, place.host, f"{place.path}/" if place.path else "", closing)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code, status = error.response["Error"].get("Code", ""), error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
        if code in _MISSING:
            raise FileNotFoundError from error
        if code == "InvalidObjectState":
            raise RowNotRead(ARCHIVED) from error
        said = f"It answered {status} ({code[:100]})."
        if status >= 500 or code in _BUSY:
            raise ConnectionError(said) from error
        raise PermissionError(said) from error
    except (BotoCoreError, ClientTrouble, OSError) as error:
        raise trouble_of(error) from error
