"""What surrounds the API: health, figures, documents, headers, logs, other methods, other addresses."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from starlette.types import Message
from structlog.testing import capture_logs

from tests.web.world import World, a_bot, a_folder, fields_of, opened, settings_in
from tidings.settings import Settings
from tidings.web.reference import markdown
from tidings.web.server import openapi_document

TOKEN = "figures, please"


@pytest.fixture
async def watched(settings: Settings) -> AsyncIterator[World]:
    async with opened(settings_in(settings), metrics_token=SecretStr(TOKEN)) as made:
        yield made


async def test_health(world: World) -> None:
    assert (await world.nobody("GET", "/healthz", 200)).json() == {"status": "ok"}
    assert (await world.nobody("GET", "/readyz", 200)).json() == {"status": "ok"}
    for path in ("/healthz", "/readyz"):
        await world.nobody("HEAD", path, 200)


async def test_not_ready_before_the_schema_is_there(settings: Settings, blank_database_url: str | None, tmp_path: Path) -> None:
    from httpx import ASGITransport, AsyncClient

    from tidings.outbound import Outbound
    from tidings.secretbox import SecretBox
    from tidings.store.database import open_database
    from tidings.web.server import create_app
    from tidings.web.services import Services

    blank = settings.model_copy(update={"home": tmp_path / "blank", "database_url": blank_database_url})
    db, outbound = open_database(blank), Outbound()
    app = create_app(Services(db, blank, SecretBox([b"k" * 32]), outbound, "http://x"))
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://x") as client:
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
        assert "tidings migrate" in answer.json()["reason"]
        db.migrate()
        assert (await client.get("/readyz")).status_code == 200
    await outbound.aclose()
    db.close()


async def test_metrics_take_a_token(world: World, watched: World) -> None:
    assert (await world.nobody("GET", "/metrics")).status_code == 404
    for header in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Bearer ü".encode()}, {"Authorization": TOKEN}):
        assert (await watched.nobody("GET", "/metrics", headers=header)).status_code == 404
    await a_folder(watched, watched.owner, await a_bot(watched.owner))
    text = (await watched.nobody("GET", "/metrics", 200, headers={"Authorization": f"Bearer {TOKEN}"})).text
    assert 'tidings_queue_length{queue="syncs"} 1.0' in text
    assert 'tidings_requests_total{route="/api/v1/bots",status="201"}' in text


async def test_every_answer_carries_the_headers(world: World) -> None:
    for path in ("/healthz", "/docs", "/openapi.json", "/bots", "/nope", "/bots/1"):
        answer = await world.owner("GET", path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert len(answer.headers["x-request-id"]) == 36


async def test_other_methods_and_addresses(world: World) -> None:
    bot_id = await a_bot(world.owner)
    for method, path, allowed in [
        ("PUT", f"/bots/{bot_id}", "DELETE, GET, PATCH"),
        ("DELETE", "/bots", "GET, POST"),
        ("TRACE", "/workspace", "GET, PATCH"),
        ("HEAD", "/bots", "GET, POST"),
        ("POST", "/healthz", "GET"),
        ("OPTIONS", "/webhooks/explain-target", "DELETE, GET, PATCH, POST"),
    ]:
        answer = await world.owner(method, path, 405)
        assert answer.headers["allow"] == allowed, path
    for path in ("/nope", "/bots/", "/api/v1", "/api/v1/", "/api/v2/bots", "/docs/", "/bots//x"):
        assert fields_of(await world.owner("GET", path, 404)) == []


async def test_the_log_has_templates_and_ids_and_no_paths(world: World) -> None:
    bot_id = await a_bot(world.owner)
    with capture_logs() as lines:
        answer = await world.owner("GET", f"/bots/{bot_id}?limit=secret")
        await world.owner("GET", "/nope/of/this")
    assert [(line["route"], line["status"]) for line in lines] == [("/api/v1/bots/{bot_id}", 200), ("-", 404)]
    assert lines[0]["request_id"] == answer.headers["x-request-id"]
    assert bot_id not in str(lines)


async def test_the_page_of_the_document_loads_nothing(world: World) -> None:
    page = await world.nobody("GET", "/docs", 200)
    assert "<script" not in page.text
    assert not re.findall(r"(?:src|href)=\"(?!#|/openapi\.json)", page.text)
    for path in openapi_document("http://x")["paths"]:
        assert path in page.text


async def test_the_document(world: World) -> None:
    document = (await world.nobody("GET", "/openapi.json", 200)).json()
    assert document["openapi"] == "3.1.0"
    assert set(document["webhooks"]) == {"sync.success", "sync.failure"}
    assert "/api/public/hooks/{hookId}/{secret}" in document["paths"]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if path.startswith("/api/v1/"):
                assert operation["security"] == [{"apiKey": []}]
                assert "application/problem+json" in operation["responses"]["422"]["content"]


def test_the_reference_page_is_the_documents() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "api.md"
    assert page.read_text(encoding="utf-8") == markdown(openapi_document("http://127.0.0.1:8700")), "python -m tidings.web.reference > docs/reference/api.md"


@pytest.mark.parametrize(("proxies", "seen"), [("127.0.0.0/8", "203.0.113.9"), ("10.0.0.0/8", "127.0.0.1")])
async def test_forwarded_addresses_count_only_from_trusted_proxies(settings: Settings, proxies: str, seen: str) -> None:
    from ipaddress import ip_network

    async with opened(settings_in(settings), trusted_proxies=(ip_network(proxies),)) as world:
        with capture_logs() as lines:
            await world.owner("GET", "/workspace", 200, headers={"X-Forwarded-For": "203.0.113.9"})
        assert [line["client"] for line in lines] == [seen]


async def test_who_left_before_the_answer_is_no_fault_of_ours(world: World) -> None:
    async def gone() -> Message:
        return {"type": "http.disconnect"}

    async def unheard(_message: Message) -> None:
        raise AssertionError

    key = world.owner.client.headers["authorization"].encode()
    scope = {"type": "http", "method": "POST", "path": "/api/v1/bots", "query_string": b"", "headers": [(b"authorization", key)]}
    with capture_logs() as lines:
        await world.app(scope, gone, unheard)
    assert [line["status"] for line in lines] == [499]
