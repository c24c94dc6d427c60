"""Log lines: their form, and that no secret is in them."""

import io
import json
import logging
import random
import secrets
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

import pytest
import structlog

from tidings import metrics
from tidings.logs import MASK, configure_logs, mask_secrets


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logs(stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def _last(stream: io.StringIO) -> dict[str, Any]:
    found = json.loads(stream.getvalue().splitlines()[-1])
    assert isinstance(found, dict)
    return found


def test_a_line_is_one_json_object(lines: io.StringIO) -> None:
    structlog.get_logger("tidings.test").info("sync ended", sync_id="x", rows=3, tokens=15, text="zwei\nZeilen ü")
    found = _last(lines)
    assert (found["event"], found["sync_id"], found["rows"], found["tokens"], found["text"]) == ("sync ended", "x", 3, 15, "zwei\nZeilen ü")
    assert (found["level"], found["logger"]) == ("info", "tidings.test")
    assert found["timestamp"].endswith("Z")
    assert len(lines.getvalue().splitlines()) == 1


@pytest.mark.parametrize(
    "shape",
    [
        "GET /api/public/hooks/0b54ba8a-0e51-4f3c-9d7d-3b1f0b6b4f6e/{} HTTP/1.1",
        "http://127.0.0.1:8700/api/public/hooks/x/{}?wait=5",
        "/api/public/hooks/x/{}/more",
        "signed with whsec_{}",
        "the key tdk_{}",
        "Authorization: Bearer {}",
        "bearer  {}, and so on",
        "postgresql://me:{}@db/tidings",
    ],
)
def test_secrets_are_masked_wherever_they_stand(lines: io.StringIO, shape: str) -> None:
    secret = secrets.token_hex(16)
    text = shape.format(secret)
    log = structlog.get_logger("tidings.test")
    log.info(text)
    log.warning("in a value", url=text, deep={"list": [text, (text,)], "bytes": text.encode()})
    log.info("with %s", text)
    logging.getLogger("a.library").warning("it said %s", text)
    logging.getLogger("uvicorn.error").error(text)
    logging.getLogger("uvicorn.access").info(text)
    try:
        int(text)
    except ValueError as error:
        log.exception("failed", cause=error)
        logging.getLogger("a.library").exception("failed")
    assert secret not in lines.getvalue()
    assert lines.getvalue().count(MASK) == 11
    assert "ValueError" in lines.getvalue()


def test_what_is_named_a_secret_is_masked(lines: io.StringIO) -> None:
    secret = secrets.token_hex(16)
    structlog.get_logger().info("created", secret=secret, apiKey=secret, headers={"authorization": secret, "x-count": 5}, password=None, totalTokens=3)
    assert secret not in lines.getvalue()
    assert _last(lines)["headers"] == {"authorization": MASK, "x-count": 5}
    assert (_last(lines)["password"], _last(lines)["totalTokens"]) == (None, 3)


def test_debug_is_not_shown_and_bound_values_are(lines: io.StringIO) -> None:
    structlog.get_logger().debug("not shown")
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        structlog.get_logger().info("shown")
    assert "not shown" not in lines.getvalue()
    assert _last(lines)["request_id"] == "r1"


def test_a_terminal_gets_lines_for_people() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure_logs(stream)
        structlog.get_logger().info("sync ended", url="/api/public/hooks/x/abcdefgh")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
    assert "sync ended" in stream.getvalue()
    assert not stream.getvalue().startswith("{")
    assert "abcdefgh" not in stream.getvalue()


def test_masking_leaves_the_rest_as_it_was() -> None:
    text = "GET https://example.com:8080/a@b?c=whsec and /api/public/hooks/{hook_id}, 100 %, /a%20b?c=%2Fapi%2Fpublic"
    assert mask_secrets(text) == text
    assert mask_secrets("/api/public/hooks/x/y?ref=%20a") == f"/api/public/hooks/x/{MASK}?ref=%20a"


def _escaped(text: str, times: int) -> str:
    for _ in range(times):
        text = "".join(f"%{byte:02{random.choice('xX')}}" if random.random() < 0.7 else chr(byte) for byte in text.encode())
    return text


@pytest.mark.parametrize("times", range(5))
@pytest.mark.parametrize("change", [str, str.upper, str.title])
def test_a_trigger_url_is_masked_however_it_is_spelled(times: int, change: Callable[[str], str]) -> None:
    secret = secrets.token_hex(16)
    for part in (
        change("/api/public/hooks/0b54ba8a-0e51-4f3c-9d7d-3b1f0b6b4f6e/") + secret,
        f"//api/public/hooks//x/{secret}/",
        f"/api/public/hooks/x%2F{secret}",
    ):
        masked = mask_secrets(f"asked for b'{_escaped(part, times)}' twice")
        assert secret not in unquoted(masked)
        assert masked.startswith("asked for b'")
        assert masked.endswith("' twice")


def unquoted(text: str) -> str:
    for _ in range(10):
        text = unquote(text)
    return text


def test_figures_are_exposed_with_their_meaning() -> None:
    metrics.triggers.labels("queued").inc()
    metrics.queued.labels("syncs").set(4)
    text = metrics.exposition().decode()
    assert 'tidings_triggers_total{outcome="queued"}' in text
    assert 'tidings_queue_length{queue="syncs"} 4.0' in text
    for family in metrics.registry.collect():
        assert family.documentation, family.name
