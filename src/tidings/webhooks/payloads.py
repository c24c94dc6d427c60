"""What goes out: the bodies and the frozen headers of the outgoing hooks (contract, section 3). Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from tidings.clock import Micros, rfc3339
from tidings.model.syncs import Results, Sync
from tidings.model.webhooks import Envelope, EventType

SHOWN_REFS = 50
REFS_BYTES = 4096
CANCELLED = "The sync was cancelled"

# The figures of the page that all this began with: what a test delivery carries.
_SAMPLE_RESULTS = Results(total_tokens=241245, modified_rows=15, total_documents=20, unmodified_rows=0, total_data_source_rows=15)
_SAMPLE_REASON = "Over plan storage token limit, please upgrade plan"
_SAMPLE_CODE = "over_plan_limit"


def event_of(sync: Sync) -> EventType:
    """What the end of a sync is called."""
    return "sync.success" if sync.state == "succeeded" else "sync.failure"


def outcome(sync: Sync, bot: str, data_source: str) -> dict[str, Any]:
    """The body of the plain envelope for a sync that has ended, its members in the order of the contract."""
    if sync.state == "succeeded":
        assert sync.results is not None
        return _success(sync.results, bot, data_source)
    return _failure((CANCELLED if sync.state == "cancelled" else sync.reason) or "", bot, data_source)


def event_data(sync: Sync, bot: str, data_source: str) -> dict[str, Any]:
    """The `data` of the standard envelope: the plain body, and what it is about."""
    data = outcome(sync, bot, data_source) | {
        "botId": sync.bot_id,
        "dataSourceId": sync.data_source_id,
        "syncId": sync.id,
        "refs": list(sync.refs),
        "startedAt": _time(sync.started_at),
        "finishedAt": _time(sync.finished_at),
    }
    if sync.state == "succeeded":
        counts = sync.counts
        return data | {"addedRows": counts.added, "changedRows": counts.changed, "removedRows": counts.removed, "failedRows": counts.failed}
    return data | {"code": sync.code}


def stale_data(bot_id: str, data_source_id: str, reason: str, bot: str, data_source: str) -> dict[str, Any]:
    """The `data` of the standard envelope for a promise of freshness that is broken: it is about no sync."""
    about: dict[str, Any] = {"botId": bot_id, "dataSourceId": data_source_id, "syncId": None, "refs": [], "startedAt": None, "finishedAt": None}
    return _failure(reason, bot, data_source) | about | {"code": "stale"}


def body(envelope: Envelope | None, event: EventType, at: Micros, data: Mapping[str, Any]) -> str:
    """The body as it is sent, frozen: the plain members of `data` alone, or all of it in the standard envelope."""
    if envelope == "standard":
        return to_json({"type": event, "timestamp": rfc3339(at), "data": data})
    told = ("success", "results", "bot", "dataSource") if event == "sync.success" else ("success", "reason", "bot", "dataSource")
    return to_json({name: data[name] for name in told})


def frozen_headers(sync: Sync) -> dict[str, str]:
    """The headers that are fixed with the body."""
    headers = {"Tidings-Event": event_of(sync), "Tidings-Sync-Id": sync.id} | refs_headers(sync.refs)
    if sync.counts.failed:
        headers["Tidings-Rows-Failed"] = str(sync.counts.failed)
    return headers


def refs_headers(refs: Sequence[str]) -> dict[str, str]:
    """`Tidings-Refs`: percent-encoded, the first 50 and at most 4 KiB of them; the number of the others in `Tidings-Refs-Omitted`."""
    shown: list[str] = []
    length = 0
    for ref in refs[:SHOWN_REFS]:
        encoded = quote(ref, safe="", errors="replace")
        length += len(encoded) + (2 if shown else 0)
        if length > REFS_BYTES:
            break
        shown.append(encoded)
    headers = {"Tidings-Refs": ", ".join(shown)} if shown else {}
    if len(refs) > len(shown):
        headers["Tidings-Refs-Omitted"] = str(len(refs) - len(shown))
    return headers


def sample(event: EventType, ids: Mapping[str, str | None], at: Micros) -> dict[str, Any]:
    """The `data` of a test delivery. `ids`: `botId` and `dataSourceId`; it is about no sync."""
    told: dict[str, Any] = {**ids, "syncId": None, "refs": [], "startedAt": rfc3339(at), "finishedAt": rfc3339(at)}
    bot, data_source = "Testing bot", "Data source one"
    if event == "sync.success":
        counts = {"addedRows": 15, "changedRows": 0, "removedRows": 0, "failedRows": 0}
        return _success(_SAMPLE_RESULTS, bot, data_source) | told | counts
    return _failure(_SAMPLE_REASON, bot, data_source) | told | {"code": _SAMPLE_CODE}


def to_json(value: Mapping[str, Any]) -> str:
    """JSON as the contract shows it: a space behind each colon and comma, characters as they are, but for those that UTF-8 does not know."""
    return json.dumps(value, ensure_ascii=False).encode(errors="replace").decode()


def _success(results: Results, bot: str, data_source: str) -> dict[str, Any]:
    figures = {
        "totalTokens": results.total_tokens,
        "modifiedRows": results.modified_rows,
        "totalDocuments": results.total_documents,
        "unmodifiedRows": results.unmodified_rows,
        "totalDataSourceRows": results.total_data_source_rows,
    }
    return {"success": True, "results": figures, "bot": bot, "dataSource": data_source}


def _failure(reason: str, bot: str, data_source: str) -> dict[str, Any]:
    return {"success": False, "reason": reason, "bot": bot, "dataSource": data_source}


def _time(at: Micros | None) -> str | None:
    return None if at is None else rfc3339(at)
