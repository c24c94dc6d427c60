"""The OpenAPI document as a page of the reference: `python -m tidings.web.reference > docs/reference/api.md`. What is sent to webhooks, as another one."""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from tidings.model.webhooks import EventType
from tidings.web.server import openapi_document
from tidings.web.webhook_schemas import CODES, MEANINGS, WEBHOOKS
from tidings.webhooks.payloads import body, sample, stale_data

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
_EVENTS = """# Events

What Tidings sends to the target URLs of webhooks, made from the code by `python -m tidings.cli.reference docs/reference`. A receiver that takes it as it
should: in [Python](../guides/receive-in-python.md), [Node](../guides/receive-in-node.md), [Go](../guides/receive-in-go.md).

Each end of a sync is one event, save of a cancelled one and of a dry run; so is a promise to be fresh that is broken. It is sent by `POST` as
`application/json` in UTF-8 to each webhook of the bot that wants to know: those for this kind of event, with this data source or with none. Any answer of
2xx means that it arrived; anything else, a redirect too, is tried again by `TIDINGS_RETRY_SCHEDULE`, or when `Retry-After` says, if that is later; 410
disables the webhook.

The body is frozen when the event happens, and is the same on every attempt. A webhook has one of two envelopes: `plain`, with these members and no
others, or `standard`, which says more. Members may be added to the `data` of `standard`; ignore those that you don't know.
"""
_SAMPLE_AT = 1_795_341_600_000_000  # 2026-11-22 10:00 UTC
_SAMPLE_IDS = {"botId": "01a2032d-1a2b-71e5-95eb-35726f9a88e8", "dataSourceId": "01a2032d-1a2b-71e5-95eb-35726f9a88e9"}
_SAMPLE_SYNC = {"syncId": "01a2032d-1e4c-71fb-b19b-1b51c1458cdc", "refs": ["deploy-4711"]}
_SAMPLE_STALE = "Not synced successfully for 6 h 3 min (promised: within 6 h): the last sync failed: The folder /srv/docs is not there."


def events_markdown() -> str:
    """The page on what is sent: each kind of event in both envelopes, the headers, the codes."""
    kinds: tuple[EventType, ...] = ("sync.success", "sync.failure")
    lines = [_EVENTS]
    for kind in kinds:
        post = WEBHOOKS[kind]["post"]
        data = sample(kind, _SAMPLE_IDS, _SAMPLE_AT) | _SAMPLE_SYNC
        lines += [
            f"## `{kind}`\n",
            f"{post['summary']}. To webhooks of type `{kind.replace('.', '_')}`. In the envelope `plain`:\n",
            _json(body("plain", kind, _SAMPLE_AT, data)),
        ]
        lines += ["In the envelope `standard`:\n", _json(body("standard", kind, _SAMPLE_AT, data))]
    stale = stale_data(_SAMPLE_IDS["botId"], _SAMPLE_IDS["dataSourceId"], _SAMPLE_STALE, "Testing bot", "Data source one")
    lines += ["A broken promise to be fresh is a `sync.failure` that is about no sync:\n", _json(body("standard", "sync.failure", _SAMPLE_AT, stale))]
    lines += ["## Members\n", "| member | of | envelope | |", "|---|---|---|---|", *_members()]
    lines += ["\n## Headers\n", "| header | | |", "|---|---|---|"]
    for each in WEBHOOKS["sync.success"]["post"]["parameters"]:
        meaning = each["description"].replace("`sync.success`", "`sync.success` or `sync.failure`.")
        lines.append(f"| `{each['name']}` | {'always' if each['required'] else 'sometimes'} | {meaning} |")
    lines += ["| `User-Agent` | always | `Tidings/` and its version. |", "| the webhook's own | always | Custom headers, as they were set. |"]
    lines += [
        "\n## Codes\n",
        "Why a sync failed, for programs (`code` in the envelope `standard`, and of a sync in the API); `reason` says it in words.\n",
        "| code | means |",
        "|---|---|",
    ]
    lines += [f"| `{code}` | {meaning} |" for code, meaning in CODES.items()]
    return "\n".join([*lines, ""])


def _members() -> Iterator[str]:
    """The members of the bodies, as rows of a table, those of both kinds once."""
    told = {kind: item["post"]["requestBody"]["content"]["application/json"]["schema"]["oneOf"] for kind, item in WEBHOOKS.items()}
    enveloped = {kind: each["properties"]["data"]["properties"] for kind, (_, each) in told.items()}
    for name in dict.fromkeys(name for members in enveloped.values() for name in members):
        kinds = [kind for kind, members in enveloped.items() if name in members]
        plain = name in told[kinds[0]][0]["properties"]
        yield f"| `{name}` | {kinds[0] if len(kinds) == 1 else 'both'} | {'both' if plain else 'standard'} | {MEANINGS[name]} |"
        for inner in enveloped[kinds[0]][name].get("properties", {}):
            yield f"| `{name}.{inner}` | {kinds[0]} | both | {MEANINGS[inner]} |"


def _json(text: str) -> str:
    return f"```json\n{json.dumps(json.loads(text), indent=2, ensure_ascii=False)}\n```\n"


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
