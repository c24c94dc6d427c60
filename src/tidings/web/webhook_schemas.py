"""What the OpenAPI document says of the trigger URL and of the two webhooks: they are no routes of the framework."""

from typing import Any

_UUID = {"type": "string", "format": "uuid"}
_TIME = {"type": "string", "format": "date-time"}
_FIGURES = ("totalTokens", "modifiedRows", "totalDocuments", "unmodifiedRows", "totalDataSourceRows")
_COUNTS = ("addedRows", "changedRows", "removedRows", "failedRows")
CODES = {
    "over_plan_limit": "The sync would have gone over the plan's storage tokens. Nothing was charged.",
    "source_unreachable": "The source did not answer or stood still, or its root is missing.",
    "source_rejected": "The source answered, and said no: credentials, rights, a limit.",
    "too_many_failed_rows": "More than a tenth of the rows, and more than three, could not be fetched.",
    "removal_guard": "More rows would have been removed, or held back, than is plausible. To be approved, if it is right.",
    "timeout": "The sync ran longer than `TIDINGS_SYNC_HOURS`.",
    "internal": "A fault of Tidings, or one worker after another died over this sync. The log has more.",
    "stale": "No sync has succeeded for as long as was promised (`freshWithin`). It is about no sync.",
}
MEANINGS = {
    "success": "Whether the sync succeeded.",
    "results": "What the sync came to:",
    "totalTokens": "the storage tokens that this sync consumed: those of the new version of each modified row",
    "modifiedRows": "the rows that are new, or whose text or title changed, since the last sync that succeeded",
    "totalDocuments": "all documents of the data source",
    "unmodifiedRows": "the rows that are as they were",
    "totalDataSourceRows": "all rows of the data source: the modified and the unmodified ones",
    "reason": "Why the sync failed, for people.",
    "bot": "The name of the bot.",
    "dataSource": "The name of the data source.",
    "botId": "The bot.",
    "dataSourceId": "The data source.",
    "syncId": "The sync; null where the event is about none.",
    "refs": "What the callers of the trigger URL marked the sync with (`ref`).",
    "startedAt": "When the sync began; null where there is none.",
    "finishedAt": "When it ended; null where there is none.",
    "addedRows": "Rows that are new.",
    "changedRows": "Rows whose text or title changed.",
    "removedRows": "Rows that are not there any more.",
    "failedRows": "Rows that could not be brought up to date; their last good version stays.",
    "code": "Why the sync failed, for programs: one of the codes below.",
}


def _object(properties: dict[str, Any], *, closed: bool = True) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": not closed}


_RESULTS = _object({name: {"type": "integer", "minimum": 0} for name in _FIGURES})
_NAMES = {"bot": {"type": "string"}, "dataSource": {"type": "string"}}
_SUCCESS = {"success": {"const": True}, "results": _RESULTS, **_NAMES}
_FAILURE = {"success": {"const": False}, "reason": {"type": "string"}, **_NAMES}
_OUTCOME = {"oneOf": [_object(_SUCCESS), _object(_FAILURE)]}
_SAMPLE_RESULTS = {"totalTokens": 241245, "modifiedRows": 15, "totalDocuments": 20, "unmodifiedRows": 0, "totalDataSourceRows": 15}
_SAMPLE_NAMES = {"bot": "Testing bot", "dataSource": "Data source one"}
_REFUSED = _object({"success": {"const": False}, "reason": {"type": "string"}})


def _enveloped(kind: str, plain: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    nullable = {"botId": _UUID, "dataSourceId": _UUID, "syncId": {"anyOf": [_UUID, {"type": "null"}]}, "refs": {"type": "array", "items": {"type": "string"}}}
    times = {name: {"anyOf": [_TIME, {"type": "null"}]} for name in ("startedAt", "finishedAt")}
    data = _object({**plain, **nullable, **times, **more}, closed=False)
    return _object({"type": {"const": kind}, "timestamp": _TIME, "data": data})


def _headers(event: str) -> list[dict[str, Any]]:
    described = {
        "webhook-id": "The event's id, the same on each attempt: drop repeats by it.",
        "webhook-timestamp": "Unix seconds of this attempt.",
        "webhook-signature": "`v1,` and base64 of HMAC-SHA256 over `{id}.{timestamp}.{body}`, one per live secret (Standard Webhooks 1.0.0); "
        "with `ed25519` also `v1a,` and base64 of the Ed25519 signature.",
        "Tidings-Event": f"`{event}`",
        "Tidings-Sync-Id": "The sync; not on tests.",
        "Tidings-Attempt": "1, 2, ...",
        "Tidings-Sequence": "1, 2, 3, ... per webhook, without gaps; not on tests.",
        "Tidings-Refs": "The distinct refs of the sync, percent-encoded, joined by `, `; when there are any.",
        "Tidings-Refs-Omitted": "How many refs did not fit.",
        "Tidings-Rows-Failed": "When rows failed.",
        "Tidings-Test": "`true` on tests.",
    }
    always = {"webhook-id", "webhook-timestamp", "webhook-signature", "Tidings-Event", "Tidings-Attempt"}
    return [
        {"name": name, "in": "header", "required": name in always, "description": description, "schema": {"type": "string"}}
        for name, description in described.items()
    ]


def _webhook(event: str, summary: str, plain: dict[str, Any], more: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    return {
        "post": {
            "summary": summary,
            "description": "Sent to the target URL of each webhook that wants it, until it is answered with 2xx.",
            "operationId": event.replace(".", "_"),
            "parameters": _headers(event),
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"oneOf": [_object(plain), _enveloped(event, plain, more)]}, "example": example}},
            },
            "responses": {
                "2XX": {"description": "Delivered."},
                "410": {"description": "Disables the webhook."},
                "default": {"description": "Tried again by the retry schedule; `Retry-After` is honoured."},
            },
        }
    }


WEBHOOKS: dict[str, Any] = {
    "sync.success": _webhook(
        "sync.success",
        "A data source was synced",
        _SUCCESS,
        {name: {"type": "integer", "minimum": 0} for name in _COUNTS},
        {"success": True, "results": _SAMPLE_RESULTS, **_SAMPLE_NAMES},
    ),
    "sync.failure": _webhook(
        "sync.failure",
        "A sync failed",
        _FAILURE,
        {"code": {"enum": list(CODES)}},
        {"success": False, "reason": "Over plan storage token limit, please upgrade plan", **_SAMPLE_NAMES},
    ),
}


def _refusal(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _REFUSED}}}


def _trigger(method: str) -> dict[str, Any]:
    return {
        "tags": ["Trigger URL"],
        "summary": "Trigger a sync",
        "description": "Queues a sync of the hook's data source, or merges into the queued one. The URL is the authentication: keep it secret. "
        "The body of a POST is ignored, unless the hook has a mapping that finds in it which rows to sync.",
        "operationId": f"trigger_by_{method}",
        "parameters": [
            {"name": "hookId", "in": "path", "required": True, "schema": _UUID},
            {"name": "secret", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[A-Za-z0-9._~-]{16,128}$"}},
            {"name": "ref", "in": "query", "schema": {"type": "string"}, "description": "A mark that is kept on the sync; cut to 200 characters."},
            {"name": "wait", "in": "query", "schema": {"type": "number"}, "description": "Seconds, clamped to 1..60: answer with the outcome of the sync."},
        ],
        "responses": {
            "200": {
                "description": "Accepted; with `wait`, the outcome if the sync ended in time.",
                "headers": {
                    "Tidings-Sync-Id": {"schema": _UUID},
                    "Tidings-Sync-State": {"schema": {"enum": ["queued", "merged"]}},
                },
                "content": {
                    "application/json": {
                        "schema": {"oneOf": [_object({"success": {"const": True}}), *_OUTCOME["oneOf"]]},
                        "example": {"success": True},
                    }
                },
            },
            "403": _refusal("The hook is disabled, its data source paused, or this was a prefetch or a link preview."),
            "404": _refusal("Unknown hook, wrong secret, malformed: the same for each."),
            "405": _refusal("Another method than GET or POST; or the hook takes POST only."),
            "410": _refusal("The hook's data source was deleted."),
            "413": _refusal("The body is larger than 1 MiB."),
            "429": _refusal("Too many calls within a minute; `Retry-After` says when to come back."),
            "500": _refusal("A fault of ours; nothing was triggered."),
            "503": _refusal("Not at this moment: try again."),
        },
    }


TRIGGER_PATH_ITEM: dict[str, Any] = {"/api/public/hooks/{hookId}/{secret}": {"get": _trigger("get"), "post": _trigger("post")}}
