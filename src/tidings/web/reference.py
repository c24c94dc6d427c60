"""The OpenAPI document as a page of the reference: `python -m tidings.web.reference > docs/reference/api.md`."""

from collections import defaultdict
from typing import Any

from tidings.web.server import openapi_document

_METHODS = ("get", "post", "patch", "delete")
_INTRODUCTION = """# The API

Made from the OpenAPI document (`GET /openapi.json`, `tidings openapi`, as a page `GET /docs`) by `python -m tidings.web.reference`.

The base is `{BASE_URL}/api/v1`; send `Authorization: Bearer <API key>`. Bodies and answers are JSON in UTF-8, at most 1 MiB;
times are RFC 3339 in UTC; ids are UUIDs.

- **Keys.** A member's key reads and starts syncs; an owner's changes everything of its workspace but the plan; an operator's the plan too.
  Too little: 403. Members get `secret` null, and URLs and custom headers masked. Credentials of connectors read `"********"` for all;
  that value sent back keeps them.
- **Errors** are `application/problem+json` (RFC 9457): `title`, `status`, `detail` (what happened, what to do), `code` (for programs),
  `instance` (the id of the request, also in the log and in `X-Request-Id`), and for invalid input `errors: [{"field", "message"}]`,
  the field dotted as in the JSON (`config.path`). Fields and parameters that a route does not have are refused.
  401 no or bad key, 403 too little a key, 404 not there or another workspace's, 405 another method, 409 not in this state, 410 pruned,
  413 too large, 415 not JSON, 422 invalid, 503 not at this moment.
- **Lists** answer `{"items": [...], "nextCursor": "..." | null}` and take `limit` (1 to 200, default 50) and `cursor`.
- **PATCH** replaces the members that it names, `config` as a whole.
- **Idempotency-Key** on a POST makes a repeat within 24 hours answer as the first did (with `Idempotent-Replayed: true`) and do nothing.
  Another request with the same key: 422. The first still running: 409. An answer of 5xx is not kept. A request whose server died is not
  run twice: once it has committed, repeats get 409 with that reason.
- **Names** are 1 to 200 characters, trimmed, without control characters. `wait` is brought within 0 and 60 seconds.
"""


def markdown(document: dict[str, Any]) -> str:
    """The page."""
    groups: dict[str, list[str]] = defaultdict(list)
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                groups[operations[method]["tags"][0]].append(_operation(f"{method.upper()} {path.removeprefix('/api/v1')}", operations[method]))
    groups["Webhooks, sent to your target URL"] = [_operation(name, item["post"]) for name, item in document["webhooks"].items()]
    sections = [f"## {name}\n\n" + "\n".join(blocks) for name, blocks in groups.items()]
    schemas = [_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items())]
    return "\n".join([_INTRODUCTION, *sections, "## Schemas\n\n" + "\n".join(schemas)])


def _operation(title: str, operation: dict[str, Any]) -> str:
    lines = [f"### `{title}`\n", f"{operation['summary']}. {operation.get('description', '')}".strip() + "\n"]
    for each in operation.get("parameters", ()):
        if each["name"] == "Idempotency-Key":
            continue
        described = each.get("description") or each["schema"].get("description", "")
        traits = [each["in"], *(["required"] if each.get("required") else []), _kind(each["schema"])]
        lines.append(f"- `{each['name']}` ({', '.join(traits)}){': ' if described else ''}{described}")
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        lines.append(f"- body, `{media_type}`: {_kind(content['schema'])}")
    for status, response in operation["responses"].items():
        kinds = [_kind(content.get("schema", {})) for content in response.get("content", {}).values()]
        shown = f": {kinds[0]}" if status.startswith("2") and kinds and kinds[0] != "anything" else ""
        lines.append(f"- answers {status}{shown}" if status.startswith("2") else f"- {status}: {response['description']}")
    return "\n".join(lines) + "\n"


def _schema(name: str, schema: dict[str, Any]) -> str:
    lines = [f"### {name}\n", schema.get("description", "") + "\n"]
    required = schema.get("required", [])
    for field, kind in schema.get("properties", {}).items():
        described = kind.get("description", "")
        lines.append(f"- `{field}`{'' if field in required else '?'}: {_kind(kind)}{'. ' if described else ''}{described}")
    return "\n".join(lines) + "\n"


def _kind(schema: dict[str, Any]) -> str:
    """What a schema takes, in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(_kind(each) for each in schema[several]))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    kind: str = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    bounds = " ".join(f"{name} {schema[name]}" for name in ("minimum", "maximum", "minLength", "maxLength", "maxItems") if name in schema)
    return " ".join(part for part in ({"uuid": "id", "date-time": "time"}.get(schema.get("format", ""), kind), f"({bounds})" if bounds else "") if part)


if __name__ == "__main__":
    print(markdown(openapi_document("http://127.0.0.1:8700")), end="")  # noqa: T201 - its output is what it is for
