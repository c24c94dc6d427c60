"""The OpenAPI 3.1 document: the framework's, and what it can't know: the trigger URL, the webhooks, problems, the API key."""

import re
from collections.abc import Sequence
from typing import Any

from fastapi.openapi.utils import get_openapi
from pydantic.alias_generators import to_camel
from pydantic.json_schema import models_json_schema

from tidings import __version__
from tidings.web.problems import MEDIA_TYPE, Problem
from tidings.web.webhook_schemas import TRIGGER_PATH_ITEM, WEBHOOKS

API = "/api/v1/"
_REF = "#/components/schemas/"
DESCRIPTION = """Tidings keeps the knowledge behind bots in sync with where it really lives, and tells every other system how each sync went.

Every request to `/api/v1` carries an API key as `Authorization: Bearer <key>`. A member's key reads and starts syncs, an owner's changes everything but the
plan, an operator's the plan too. Errors are problem documents (RFC 9457). Lists take `limit` and `cursor`. A POST with an `Idempotency-Key` is carried out
once: repeats within 24 hours are answered as the first one was."""

_PARAMETER = re.compile(r"\{([a-z_]+)\}")  # in paths: `bot_id` in the code, `botId` in the document

_PROBLEMS = {
    401: "No API key, or one that is not known.",
    403: "The API key may not do this.",
    404: "Not there, or another workspace's.",
    409: "Not in the present state; or the first request with this `Idempotency-Key` has not been answered yet.",
    410: "What was asked for was pruned.",
    413: "The body, or what was asked for, is too large.",
    415: "The body has to be JSON.",
    422: "Invalid input; `errors` names the fields.",
    429: "Others are at it already: try again in a while.",
    503: "Not at this moment: try again.",
}


def document(routes: Sequence[Any], base_url: str) -> dict[str, Any]:
    """The document of the framework's routes and the others."""
    made = get_openapi(
        title="Tidings",
        version=__version__,
        description=DESCRIPTION,
        routes=routes,
        servers=[{"url": base_url}],
        openapi_version="3.1.0",
    )
    schemas: dict[str, Any] = made.setdefault("components", {}).setdefault("schemas", {})
    _, problems = models_json_schema([(Problem, "serialization")], ref_template=_REF + "{model}")
    schemas.update(problems["$defs"])
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    made["components"]["securitySchemes"] = {"apiKey": {"type": "http", "scheme": "bearer", "description": "`tidings keys create` makes one."}}
    made["paths"] = {_PARAMETER.sub(lambda found: f"{{{to_camel(found[1])}}}", path): operations for path, operations in made["paths"].items()}
    for path, operations in made["paths"].items():
        for method, operation in operations.items():
            _complete(path, method, operation)
    made = _renamed(made)
    made["paths"].update(TRIGGER_PATH_ITEM)
    made["webhooks"] = WEBHOOKS
    return made


def _renamed(made: dict[str, Any]) -> dict[str, Any]:
    """The document with schemas named for those who read it: `Bot` and `BotList` for our `BotShape` and `Listed[BotShape]`."""
    listed = re.compile(r"^Listed_(?:Union_)?([A-Za-z]+?)Shape_.*$")
    names = {name: listed.sub(r"\1List", name) for name in made["components"]["schemas"]}
    names = {name: "WebhookList" if new == "TriggerList" else new.removesuffix("Shape") for name, new in names.items()}

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: f"{_REF}{names[value.removeprefix(_REF)]}" if key == "$ref" else walk(value) for key, value in node.items()}
        return [walk(each) for each in node] if isinstance(node, list) else node

    document: dict[str, Any] = walk(made)
    document["components"]["schemas"] = {names[name]: {**schema, "title": names[name]} for name, schema in document["components"]["schemas"].items()}
    return document


def methods_at(document: dict[str, Any], path: str) -> list[str]:
    """The methods that can be used at a path."""
    found: list[str] = []
    for template, operations in document["paths"].items():
        pattern = "".join("[^/]+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{[^}]+\})", template))
        if re.fullmatch(pattern, path):
            found += [method.upper() for method in operations if method.upper() not in found]
    return sorted(found)


def problem_response(description: str) -> dict[str, Any]:
    """An answer of ours that is a problem document."""
    return {"description": description, "content": {MEDIA_TYPE: {"schema": {"$ref": f"{_REF}Problem"}}}}


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    """Adds to one operation what every route has in common."""
    responses = operation["responses"]
    if not path.startswith(API):
        responses.pop("422", None)
        return
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            parameter["name"] = to_camel(parameter["name"])
    operation["security"] = [{"apiKey": []}]
    for status, description in _problems_of(path, method).items():
        responses[str(status)] = problem_response(description)
    operation["responses"] = dict(sorted(responses.items()))
    if method == "post":
        operation.setdefault("parameters", []).append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "Makes a repeat within 24 hours answer as the first request did. 1 to 255 printable ASCII characters.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]([\\x20-\\x7e]*[\\x21-\\x7e])?$"},
            }
        )


def _problems_of(path: str, method: str) -> dict[int, str]:
    """What can go wrong at a route of the API, by status."""
    statuses = {401, 422, 503}
    if method != "get":
        statuses |= {403, 404, 409}
    if method in {"post", "patch"}:
        statuses |= {413, 415}
    if "{" in path:
        statuses.add(404)
    if path == f"{API}events":
        statuses |= {404, 410}
    if path.endswith(("/snapshots/compare", "/rollback")):
        statuses.add(410)
    if path.endswith("/diff"):
        statuses |= {410, 413}
    if path.endswith("/files"):
        statuses.add(409)
    if path.endswith("/data-sources/try"):
        statuses.add(429)
    return {status: _PROBLEMS[status] for status in sorted(statuses)}
