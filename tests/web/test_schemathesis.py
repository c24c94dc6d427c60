"""The OpenAPI document taken at its word: examples that fit it and examples that do not, for every operation, over a real server and both databases.

API_EXAMPLES says how many of either sort for each operation (30 without it, half of them on each database).
"""

import os
import secrets
from ipaddress import ip_network
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    missing_required_header,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.web.serving import Served, served
from tests.web.world import settings_in
from tidings.settings import Settings
from tidings.web.server import openapi_document

EXAMPLES = int(os.environ.get("API_EXAMPLES") or 30) // 2  # of each mode, on each database
SETTINGS = settings(max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
PARTS = 8
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    missing_required_header,
    allow_header_conformance,
]
OPERATIONS = [(path, method) for path, operations in openapi_document("http://x")["paths"].items() for method in operations]


@pytest.mark.parametrize("part", range(PARTS))
def test_every_operation(settings: Settings, part: int) -> None:
    # a check sends at once: to a port of this machine where nobody listens
    allowed = settings_in(settings).model_copy(update={"allowed_networks": (ip_network("127.0.0.0/8"),)})
    with served(allowed, stopping=True) as server:
        document = openapi_document(server.url)
        schema = schemathesis.openapi.from_dict(document)
        schema.config.update(base_url=server.url)
        for path, method in OPERATIONS[part::PARTS]:
            check_operation(schema[path][method], server, path)


def check_operation(operation: Any, server: Served, path: str) -> None:
    """Every check, over examples of one operation, half of them on things that are there."""
    headers = {"Authorization": f"Bearer {server.key}"}
    there = things(server) if "{" in path and path.startswith("/api/v1/") else {}
    known = {name: value for name, value in there.items() if f"{{{name}}}" in path}
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        if mode is GenerationMode.NEGATIVE and not (parameters(operation) or "{" in path):
            continue  # there is nothing that could be wrong
        pinned = known if mode is GenerationMode.POSITIVE or parameters(operation) else {}

        @SETTINGS
        @given(case=operation.as_strategy(generation_mode=mode, path_parameters=pinned or None, headers=headers))
        def check(case: Case[Any]) -> None:
            case.call_and_validate(base_url=server.url, checks=CHECKS, timeout=60)

        check()


def parameters(operation: Any) -> bool:
    """Whether an operation takes anything besides what its path holds."""
    raw = operation.definition.raw
    return "requestBody" in raw or any(each["in"] != "path" for each in raw.get("parameters", ()))


def things(server: Served) -> dict[str, str]:
    """Something of every kind, made over the API."""
    with httpx.Client(base_url=f"{server.url}/api/v1", headers={"Authorization": f"Bearer {server.key}"}) as client:

        def made(where: str, body: dict[str, Any]) -> dict[str, Any]:
            answer = client.post(where, json=body)
            assert answer.is_success, answer.text
            found: dict[str, Any] = answer.json()
            return found

        bot = made("/bots", {"name": secrets.token_hex(4)})["id"]
        source = made(f"/bots/{bot}/data-sources", {"name": "F", "type": "files"})["id"]
        hook = made(f"/bots/{bot}/webhooks", {"type": "sync_success", "targetUrl": "http://127.0.0.1:49/"})["id"]
        delivery = made(f"/webhooks/{hook}/test", {})["deliveryId"]
        sync = client.get(f"/data-sources/{source}/syncs").json()["items"][0]["id"]
    return {"botId": bot, "dataSourceId": source, "webhookId": hook, "deliveryId": delivery, "syncId": sync}
