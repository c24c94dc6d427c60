"""Which URLs and options a `folder` elsewhere may have, and what is said of the others."""

from typing import Any

import pytest

from tests.connectors.local_files import context_for
from tidings.connectors.folder import FolderConnector
from tidings.connectors.stores.places import PROTOCOLS, SECRET_OPTIONS, StoreOptions, missing_library, place_of
from tidings.errors import Invalid
from tidings.model import credentials

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKbXqfwLV5bPJTPYd6CW8ZyOJUnK5Rg1BPgwLaxPQ7oN"
SFTP = {"password": "sesame", "hostKey": f"files.example.com {HOST_KEY} somebody's comment"}
PAIR = {"key": "me", "secret": "sesame"}


def refused(config: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        FolderConnector().parse(config)
    return {error.field: error.message for error in caught.value.errors}


@pytest.mark.parametrize(
    ("url", "options", "endpoint", "path"),
    [
        ("s3://bucket/a/b/", PAIR, "https://s3.us-east-1.amazonaws.com", "a/b"),
        ("s3://bucket", {"region": "eu-west-1"}, "https://s3.eu-west-1.amazonaws.com", ""),
        ("s3://bucket/ä b", {"endpoint_url": "HTTPS://minio.example.com:9000/"}, "https://minio.example.com:9000", "ä b"),
        ("gs://bucket/a", {}, "https://storage.googleapis.com", "a"),
        ("gcs://bucket/a", PAIR, "https://storage.googleapis.com", "a"),
        ("az://box/a", {"account": "mine"}, "https://mine.blob.core.windows.net", "a"),
        ("abfs://box@mine.dfs.core.windows.net/a", {"token": "sig=1"}, "https://mine.blob.core.windows.net", "a"),
        ("sftp://me@files.example.com/srv/docs", SFTP, "https://files.example.com", "srv/docs"),
        ("sftp://files.example.com:2022", {**SFTP, "username": "me"}, "https://files.example.com:2022", ""),
        ("sftp://me@[2606:4700::1111]:2022/a", SFTP, "https://[2606:4700::1111]:2022", "a"),
        ("webdavs://cloud.example.com/dav/My%20docs/", {}, "https://cloud.example.com/dav/My%20docs", "dav/My docs"),
        ("webdav://cloud.example.com:8080", {}, "http://cloud.example.com:8080", ""),
        ("github://we:book/docs", {}, "https://api.github.com/repos/we/book", "docs"),
        ("github://we:book@v1.2", {"token": "t"}, "https://api.github.com/repos/we/book", ""),
    ],
)
def test_places_are_taken_apart(url: str, options: dict[str, Any], endpoint: str, path: str) -> None:
    place = place_of(url, StoreOptions.model_validate(options))
    assert (place.endpoint, place.path) == (endpoint, path)
    FolderConnector().parse({"url": url, "options": options})


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc", "local:///etc", "/etc", "http://example.com/a", "https://example.com/a", "simplecache::s3://bucket/a", "s3://bucket/a::file:///etc",
        "memory://a", "zip://a", "s3:/bucket", "s3://", "s3:///a", "S3://bucket", "s3://-/a", "s3://bucket/../other", "s3://bucket/./a", "s3://b?c/a",
        "webdavs://cloud.example.com/a?b", "webdavs://cloud.example.com/a#b", "webdavs://me:sesame@cloud.example.com/a", "webdavs://me@cloud.example.com/a",
        "webdavs:///a", "webdavs://cloud.example.com:25/a", "webdavs://cloud.example.com\\evil/a", "github://book/docs", "github://we:book@a/../b:c/docs",
        "github://we/book", "abfs://box@mine.example.com/a", "az://BOX/a", "s3://bucket/a\0b", "s3://bucket/a\nb",
    ],
)  # fmt: skip
def test_other_urls_are_refused(url: str) -> None:
    assert refused({"url": url}).keys() == {"config.url"}


@pytest.mark.parametrize(
    ("url", "options", "field"),
    [
        ("s3://bucket", {"key": "me"}, "secret"),
        ("s3://bucket", {"secret": "sesame"}, "key"),
        ("s3://bucket", {**PAIR, "hostKey": HOST_KEY}, "hostKey"),
        ("s3://bucket", {"endpoint": "file:///etc"}, "endpoint"),
        ("s3://bucket", {"endpoint": "http://me:sesame@example.com"}, "endpoint"),
        ("s3://bucket", {"region": "a.example.com/#"}, "region"),
        ("s3://bucket", {"client_kwargs": {}}, "client_kwargs"),
        ("s3://bucket", {"profile": "default"}, "profile"),
        ("gs://bucket", {"token": "google_default"}, "token"),
        ("az://box", {}, "account"),
        ("sftp://me@files.example.com", {"password": "sesame"}, "hostKey"),
        ("sftp://me@files.example.com", {"password": "sesame", "hostKey": "any"}, "hostKey"),
        ("sftp://me@files.example.com", {"hostKey": HOST_KEY}, "password"),
        ("sftp://files.example.com", SFTP, "username"),
        ("webdavs://cloud.example.com", {"username": "a\r\nb"}, "username"),
        ("github://we:book", {"username": "me"}, "username"),
    ],
)
def test_options_that_do_not_fit_are_named(url: str, options: dict[str, Any], field: str) -> None:
    (message,) = refused({"url": url, "options": options}).values()
    assert refused({"url": url, "options": options}).keys() == {f"config.options.{field}"}
    assert message.endswith(".")
    assert "sesame" not in message


def test_exactly_one_of_path_and_url() -> None:
    assert refused({}).keys() == {"config.path"}
    assert refused({"path": "/a", "url": "s3://bucket"}).keys() == {"config.url"}
    assert refused({"path": "/a", "options": {"key": "me"}}).keys() == {"config.options"}


def test_a_password_in_a_url_is_not_repeated() -> None:
    assert "sesame" not in str(refused({"url": "sftp://me:sesame@files.example.com/a", "options": SFTP}))


def test_secret_options_are_masked_and_kept() -> None:
    config = {"url": "s3://bucket", "options": PAIR}
    shown = credentials.masked(config, SECRET_OPTIONS)
    assert shown == {"url": "s3://bucket", "options": {"key": "me", "secret": "********"}}
    assert credentials.unmasked(shown, config, SECRET_OPTIONS) == config


async def test_an_address_that_the_guard_refuses_is_refused() -> None:
    connector = FolderConnector()
    for config in (
        {"url": "s3://bucket", "options": {"endpoint": "http://127.0.0.1:9000"}},
        {"url": "s3://bucket", "options": {"endpoint": "http://169.254.169.254"}},
        {"url": "webdav://10.0.0.1/a"},
        {"url": "sftp://me@127.0.0.1/a", "options": SFTP},
        {"url": "sftp://me@127.0.0.1:2022/a", "options": SFTP},
    ):
        with pytest.raises(Invalid, match=r"config\.url: .* address") as caught:
            await connector.check(connector.parse(config), context_for())
        assert len(caught.value.errors) == 1


def test_every_protocol_says_what_it_takes() -> None:
    for scheme, protocol in PROTOCOLS.items():
        assert protocol.takes <= StoreOptions.model_fields.keys()
        assert protocol.example.partition("://")[0] in PROTOCOLS
        assert missing_library(scheme) is None
