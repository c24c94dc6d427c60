"""Bad input: every field of every route with wrong types, empty, huge, odd, another workspace's; the problem names the field, and is never a 500."""

import json
import re
from typing import Any

import pytest

from tests.web.world import World, a_bot, a_folder, fields_of
from tidings.model.ids import new_id
from tidings.web.server import openapi_document

HUGE = "x" * 100_000
DEEP: Any = "x"
for _ in range(200):
    DEEP = [DEEP]
TEXT: list[Any] = [None, 5, True, 1.5, [], {}, ["x"], "", "   ", HUGE, "a\0b", "a\u0007b", "line\nbreak", "\u2028", "\x7f", "a\u202eb", "\u2066a"]
NOT_TEXT: list[Any] = [5, True, 1.5, [], {}]
NOT_A_BOOLEAN: list[Any] = [None, 0, 1, "true", "", [], {}]
NOT_AN_ID: list[Any] = [*NOT_TEXT, "", "1", HUGE, "a\0b", new_id() + "0", "{}", "../../etc"]
NOT_AN_OBJECT: list[Any] = [None, 5, True, "x", [], ["x"]]
NOT_A_NUMBER: list[Any] = [None, "5", True, 1.5, [], {}, -1, 10**18, 10**40]

MAPPINGS: list[Any] = [5, True, "$.a", [], ["$.a"], {}, {"keys": 5}, {"keys": []}, {"keys": "a"}, {"urls": ["$.a", ""]}, {"keys": ["$.a"] * 11}, {"key": "$.a"}]

GOOD: dict[str, dict[str, Any]] = {
    "POST /bots": {"name": "B"},
    "PATCH /bots/{bot}": {"name": "B"},
    "PATCH /workspace": {"name": "W"},
    "POST /bots/{bot}/data-sources": {"name": "D", "type": "folder", "config": {"path": "PATH"}},
    "POST /data-sources/try": {"type": "folder", "config": {"path": "PATH"}},
    "PATCH /data-sources/{source}": {"name": "D"},
    "POST /data-sources/{source}/sync": {},
    "POST /data-sources/{source}/rollback": {"snapshot": 1},
    "POST /bots/{bot}/webhooks": {"type": "sync_success", "targetUrl": "https://8.8.8.8"},
    "PATCH /webhooks/{hook}": {},
    "POST /webhooks/{hook}/test": {},
    "POST /webhooks/{hook}/mapping/try": {"body": "{}", "mapping": {"keys": "$.a"}},
    "POST /webhooks/{hook}/recover": {"since": "2020-01-01T00:00:00Z"},
    "POST /webhooks/explain-target": {"url": "https://8.8.8.8"},
}
# field -> what will not do there. A field within another is written with a dot.
BAD: dict[str, dict[str, list[Any]]] = {
    "POST /bots": {"name": TEXT},
    "PATCH /bots/{bot}": {"name": TEXT},
    "PATCH /workspace": {"name": TEXT, "plan": [*NOT_TEXT, None, "", "nope", "a\0b", HUGE]},
    "POST /bots/{bot}/data-sources": {
        "name": TEXT,
        "type": [*NOT_TEXT, None, "", "nope", "web site", "a\0b", HUGE],
        "config": [*NOT_AN_OBJECT, DEEP],
        "config.path": [*NOT_TEXT, None, "", "relative", "/", "/etc/passwd", HUGE, "a\0b", "/nowhere/to/be/found"],
        "config.url": ["s3://bucket"],
        "config.nope": [1],
        "schedule": [5, True, 1.5, "", "daily", "1x", HUGE, {}, [], {"every": 60, "cron": "0 3 * * *"}, {"window": {"from": "01:00", "to": "01:00"}}],
        "schedule.every": [59, 366 * 86_400 + 1, 10**30, -60, "1w", "0h", "59s", "99999999d", 60.5, True, [], {}],
        "schedule.cron": [*NOT_TEXT, "", "* * * *", "* * * * * *", "60 * * * *", "0 0 30 2 *", "@daily", "x" * 300, "0 0 * * \0"],
        "schedule.timeZone": [*NOT_TEXT, None, "", "Mars/Base", "Europe", "../etc/passwd", "a\0b", HUGE],
        "schedule.window": [
            *NOT_TEXT,
            {},
            {"from": "01:00"},
            {"from": "1:00", "to": "05:00"},
            {"from": "24:00", "to": "05:00"},
            {"from_": "01:00", "to": "02:00"},
        ],
        "schedule.freshWithin": [59, 366 * 86_400 + 1, "soon", True, [], {}],
        "schedule.nope": [1],
        "syncNow": NOT_A_BOOLEAN,
    },
    "POST /data-sources/try": {
        "type": [*NOT_TEXT, None, "", "nope", "files", "a\0b", HUGE],
        "config": [*NOT_AN_OBJECT, DEEP],
        "config.path": [*NOT_TEXT, None, "", "relative", "/", "/etc/passwd", HUGE, "a\0b", "/nowhere/to/be/found"],
        "dataSourceId": NOT_AN_ID,
    },
    "PATCH /data-sources/{source}": {
        "name": TEXT,
        "config": NOT_AN_OBJECT,
        "config.path": [*NOT_TEXT, None, "", "/", "a\0b"],
        "schedule": [5, {"every": "1w"}, {}, "daily"],
        "paused": NOT_A_BOOLEAN,
        "type": ["folder"],
        "botId": [new_id()],
    },
    "POST /data-sources/{source}/sync": {
        "refs": [None, "x", 5, {}, ["x"] * 101, DEEP],
        "refs.0": [None, 5, "", "x" * 201, {}, "a\0b"],
        "force": NOT_A_BOOLEAN,
        "approveRemovals": NOT_A_BOOLEAN,
        **{name: [None, "x", 5, {}, ["x"] * 501, DEEP] for name in ("keys", "urls")},
        **{f"{name}.0": [None, 5, "", "x" * 2049, {}, "a\0b"] for name in ("keys", "urls")},
        "dryRun": NOT_A_BOOLEAN,
        "ignoreWindow": NOT_A_BOOLEAN,
    },
    "POST /data-sources/{source}/rollback": {"snapshot": [*NOT_A_NUMBER, 0, 2**60]},
    "POST /bots/{bot}/webhooks": {
        "type": [*NOT_TEXT, None, "", "sync", HUGE],
        "dataSourceId": [*NOT_AN_ID, new_id(), "OTHER"],
        "secret": [*NOT_TEXT, "short", "whsec_", "a\0b", HUGE],
        "targetUrl": [*NOT_TEXT, "", "x", "http://", "https://8.8.8.8/" + HUGE, "https://8.8.8.8/a\0b", "javascript:x", "http://10.0.0.1", "http://[::1"],
        "envelope": [*NOT_TEXT, "", "nope"],
        "keepHeld": [*NOT_TEXT, "", "nope"],
        "headers": [5, True, "x", [], {str(n): "x" for n in range(21)}],
        "headers.X-A": [*NOT_TEXT, None, HUGE, "a\nb", "ü", "a\0b"],
        "headers.Content-Length": ["1"],
        "headers.bad name": ["1"],
        "postOnly": [0, "true", [], {}],
        "mapping": MAPPINGS,  # none for a hook that is not called
        "ed25519": [0, "true", "rotate", [], {}],
    },
    "PATCH /webhooks/{hook}": {
        "type": [None, 5, "", "sync_trigger"],
        "dataSourceId": [*NOT_AN_ID, new_id(), "OTHER"],
        "secret": [*NOT_TEXT, None, "", "short", "a\0b", HUGE],
        "overlapSeconds": [*NOT_A_NUMBER, 5],
        "targetUrl": [*NOT_TEXT, None, "", "x", "http://127.0.0.1"],
        "envelope": [*NOT_TEXT, None, "", "nope"],
        "keepHeld": [*NOT_TEXT, None, "", "nope"],
        "headers": NOT_AN_OBJECT,
        "enabled": NOT_A_BOOLEAN,
        "held": [None, 5, "", "nope", "send"],
        "postOnly": NOT_A_BOOLEAN,
        "mapping": [*MAPPINGS, None],
        "ed25519": NOT_A_BOOLEAN,
    },
    "POST /webhooks/{hook}/mapping/try": {"body": [*NOT_TEXT, None], "mapping": [*MAPPINGS, None]},
    "POST /webhooks/{hook}/test": {"event": [*NOT_TEXT, "", "nope"]},
    "POST /webhooks/{hook}/recover": {
        "since": [*NOT_TEXT, None, "", "yesterday", "2020-01-01", "2020-01-01T00:00:00", "9999999-01-01T00:00:00Z", "a\0b", HUGE],
    },
    "POST /webhooks/explain-target": {"url": [*NOT_TEXT, None, "", HUGE, "a\0b"]},
}
PAGED = {"limit": ["0", "201", "-1", "x", "", "1.5", "1e2", "9" * 30, "9" * 5000, "\0"], "cursor": ["", "\0", "x" * 700, "ü", "💥"], "nope": ["1"]}
QUERIES: dict[str, dict[str, list[str]]] = {
    "/activity": {**PAGED, "cursor": [*PAGED["cursor"], "-1"]},
    "/connectors": PAGED,
    "/usage": {"month": ["", "2026", "2026-13", "2026-1", "x", "\0", "9" * 30], "nope": ["1"]},
    "/bots": {**PAGED, "cursor": [*PAGED["cursor"], "1", "abc"]},
    "/bots/{bot}/data-sources": {**PAGED, "cursor": [*PAGED["cursor"], "1"]},
    "/bots/{bot}/webhooks": {**PAGED, "cursor": [*PAGED["cursor"], "1"]},
    "/bots/{bot}/search": {"limit": PAGED["limit"], "nope": ["1"]},
    "/data-sources/{source}/syncs": {**PAGED, "cursor": [*PAGED["cursor"], "1"], "state": ["", "nope", "\0"]},
    "/data-sources/{source}/snapshots": {**PAGED, "cursor": [*PAGED["cursor"], "-1", "9" * 30]},
    "/data-sources/{source}/snapshots/compare": {
        **PAGED,
        "from": ["0", "x", "", "9" * 30],
        "to": ["0", "1.5", "-1"],
        "kind": ["", "failed"],
    },
    "/data-sources/{source}/rows": {**PAGED, "cursor": [*PAGED["cursor"], "-1", "9" * 30], "state": ["", "nope"], "q": ["x" * 1001]},
    "/data-sources/{files}/files": {**PAGED, "cursor": [*PAGED["cursor"], "zz"]},
    "/syncs/{sync}": {"wait": ["x", "", "nan", "\0"], "nope": ["1"]},
    "/syncs/{sync}/changes": {**PAGED, "cursor": [*PAGED["cursor"], "-1", "9" * 30], "kind": ["", "nope"]},
    "/deliveries": {**PAGED, "cursor": [*PAGED["cursor"], "1"], "state": ["", "nope"]},
    "/webhooks/{hook}/calls": {**PAGED, "cursor": [*PAGED["cursor"], "x", "-1", "9" * 19]},
    "/webhooks/{hook}/deliveries": {**PAGED, "cursor": [*PAGED["cursor"], "1"], "state": ["", "nope"]},
    "/events": {**PAGED, "after": ["-1", "x", "", "1.5", "9" * 30, str(2**63)], "webhookId": ["", "1", "\0"], "wait": ["x", "nan"]},
}


@pytest.fixture
async def ids(world: World) -> dict[str, str]:
    """Things to send bad input to."""
    bot_id = await a_bot(world.owner)
    source = await a_folder(world, world.owner, bot_id)
    hook = await world.owner.made(f"/bots/{bot_id}/webhooks", {"type": "sync_success", "targetUrl": "https://8.8.8.8"})
    files = await world.owner.made(f"/bots/{bot_id}/data-sources", {"name": "F", "type": "files"})
    (sync,) = (await world.owner("GET", f"/data-sources/{source['id']}/syncs", 200)).json()["items"]
    other = await a_folder(world, world.stranger, await a_bot(world.stranger))
    made = {"bot": bot_id, "source": source["id"], "hook": hook["id"], "files": files["id"], "sync": sync["id"]}
    return {**made, "OTHER": other["id"], "path": source["config"]["path"]}


def test_the_tables_are_complete() -> None:
    """Each body and each parameter of the document is tried."""
    document = openapi_document("http://x")
    lacking = []
    ours = {"dataSource": "source", "webhook": "hook"}
    for path, operations in document["paths"].items():
        if not path.startswith("/api/v1/"):
            continue
        short = re.sub(r"\{(\w+?)(Id)?\}", lambda found: f"{{{ours.get(found[1], found[1])}}}", path.removeprefix("/api/v1"))
        for method, operation in operations.items():
            for parameter in operation.get("parameters", ()):
                table = QUERIES.get(short, QUERIES.get(short.replace("{source}", "{files}"), {}))
                if parameter["in"] == "query" and parameter["name"] not in table and (short, parameter["name"]) != ("/bots/{bot}/search", "q"):
                    lacking.append((method, path, parameter["name"]))
            for content in operation.get("requestBody", {}).get("content", {}).values():
                schema = content["schema"]
                reference = next((each["$ref"] for each in [schema, *schema.get("anyOf", ())] if "$ref" in each), None)
                fields = document["components"]["schemas"][reference.rpartition("/")[2]]["properties"] if reference else {}
                lacking += [(method, path, field) for field in fields if field not in BAD.get(f"{method.upper()} {short}", {})]
    assert lacking == []


@pytest.mark.parametrize("route", BAD)
async def test_bodies(world: World, ids: dict[str, str], route: str) -> None:
    method, template = route.split()
    path = template.format(**ids)
    for field, values in {**BAD[route], "": NOT_AN_OBJECT, "unknown": [1, None], "name\0": [1]}.items():
        for value in values:
            body = with_field(GOOD[route], field, value, ids)
            if field == "" and value is None and method == "POST" and route.endswith(("/sync", "/test")):
                continue  # a body that may be left out may be null
            answer = await world.operator(method, path, content=json.dumps(body), headers={"Content-Type": "application/json"})
            assert answer.status_code == 422, f"{route} {field}={str(value)[:80]!r}: {answer.status_code} {answer.text[:300]}"
            named = fields_of(answer)
            expected = {"": "body", "name\0": "body"}.get(field, field)
            assert any(each == expected or each.startswith((f"{expected}.", expected.partition(".")[0])) for each in named), (route, field, named)


def with_field(good: dict[str, Any], field: str, value: Any, ids: dict[str, str]) -> Any:
    """A good body with one field that is not."""
    body: Any = json.loads(json.dumps(good).replace("PATH", ids["path"]))
    value = ids["OTHER"] if value == "OTHER" else value
    outer, _, inner = field.partition(".")
    if field == "":
        return value
    if not inner:
        return {**body, field: value}
    if outer == "refs":
        return {**body, "refs": [value]}
    whole = body.get(outer, {"path": ids["path"]} if outer == "config" else {})
    return {**body, outer: {**whole, inner: value}}


@pytest.mark.parametrize("template", QUERIES)
async def test_queries(world: World, ids: dict[str, str], template: str) -> None:
    path = template.format(**ids)
    await world.operator("GET", path, 200)
    for name, values in QUERIES[template].items():
        for value in values:
            answer = await world.operator("GET", path, params={name: value})
            assert answer.status_code == 422, f"{template}?{name}={value[:40]!r}: {answer.status_code} {answer.text[:300]}"
            assert fields_of(answer) == [name]
    twice = await world.operator("GET", f"{path}?limit=1&limit=2")
    assert (twice.status_code, fields_of(twice)) == (422, ["limit"])


ODD_JSON = [
    (b"", "body"), (b"{", "body"), (b"nonsense", "body"), (b"\xff\xfe", "body"), (b'"\\ud800"', "body"), (b'{"name": NaN}', "body"),
    (b'{"name": "a\\u0000"}', "name"), (b'{"name": "\\ud800"}', "body"), (b'{"name": 1' + b"0" * 10_000 + b"}", "body"), (b"[" * 100_000, "body"),
    (b'{"a":' * 500 + b"1" + b"}" * 500, "a"), (b'{"name": "x"} {}', "body"), (b'{"name": 1e999}', "body"),
]  # fmt: skip


async def test_odd_json(world: World) -> None:
    for text, field in ODD_JSON:
        answer = await world.owner("POST", "/bots", content=text, headers={"Content-Type": "application/json; charset=utf-8"})
        assert answer.status_code == 422, text[:100]
        assert [each.partition(".")[0] for each in fields_of(answer)] == [field], text[:100]


async def test_odd_content_types(world: World) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "nonsense", "application/json2"):
        answer = await world.owner("POST", "/bots", content=b'{"name": "x"}', headers={"Content-Type": kind})
        assert (answer.status_code, fields_of(answer)) == (415, []), kind
    files = await world.owner("POST", f"/data-sources/{new_id()}/files", 415, content=b"x", headers={"Content-Type": "text/plain"})
    assert "multipart/form-data" in files.json()["detail"]


async def test_a_body_needs_no_content_type(world: World) -> None:
    assert (await world.owner("POST", "/bots", content=b'{"name": "x"}')).status_code == 201
    assert (await world.owner("POST", "/bots", content=b'{"name": "x"}', headers={"Content-Type": "application/vnd.x+json"})).status_code == 201


async def test_large_bodies(world: World) -> None:
    answer = await world.owner("POST", "/bots", content=b'{"name": "' + b"x" * 1024 * 1024 + b'"}')
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")

    async def chunks() -> Any:
        for _ in range(40):
            yield b" " * 65536

    assert (await world.owner("PATCH", "/workspace", content=chunks())).status_code == 413


ODD_IDS = ["1", "x", "%00", "%FF", "null", "9" * 400, new_id()[:-1], new_id() + "a", "💥", "%F0%28%8C%28", new_id()]
WITH_IDS = (
    *("/bots/{}", "/bots/{}/data-sources", "/data-sources/{}", "/data-sources/{}/files"),
    *("/syncs/{}", "/syncs/{}/changes", "/rows/{}", "/webhooks/{}", "/deliveries/{}"),
)


async def test_ids(world: World) -> None:
    for path in WITH_IDS:
        for odd in ODD_IDS:
            answer = await world.owner("GET", path.format(odd))
            assert answer.status_code == 404, (path, odd, answer.text)
            assert fields_of(answer) == []


async def test_names_of_files(world: World, ids: dict[str, str]) -> None:
    for name in ("%00", "%2e%2e%2f", "a%2Fb", "%FF", "x" * 300, "nope.md", "a%5Cb"):
        assert (await world.owner("DELETE", f"/data-sources/{ids['files']}/files/{name}")).status_code == 404, name


ONE_FILE = b'--b\r\nContent-Disposition: form-data; name="files"; filename="one.md"\r\n\r\n# one\r\n'
ANOTHER_FILE = ONE_FILE.replace(b"one", b"two").rstrip()
CUT_FORMS = (ONE_FILE + ANOTHER_FILE, ONE_FILE + ANOTHER_FILE[:30], ONE_FILE + ANOTHER_FILE + b"\r\n--b", ONE_FILE + b"--b\r\n", ONE_FILE)


async def test_names_of_files_are_utf_8_whatever_the_form_says(world: World, ids: dict[str, str]) -> None:
    form = '--b\r\nContent-Disposition: form-data; name="files"; filename="Köln.txt"\r\n\r\nx\r\n--b--\r\n'.encode()
    for kind in (
        "multipart/form-data; boundary=b; charset=latin-1",
        'multipart/form-data; charset="utf-16"; boundary=b',
        "multipart/form-data; charset=x; boundary=b",
    ):
        made = await world.owner("POST", f"/data-sources/{ids['files']}/files", 201, content=form, headers={"Content-Type": kind})
        assert [one["name"] for one in made.json()["items"]] == ["Köln.txt"]


async def test_odd_uploads(world: World, ids: dict[str, str]) -> None:
    path = f"/data-sources/{ids['files']}/files"
    for sent, status, field in [
        ({"json": {}}, 422, "body"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 422, "body"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, 422, ""),
        ({"content": b"--b\r\nnonsense", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, 422, ""),
        *(({"content": cut, "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, 422, "body") for cut in CUT_FORMS),
        ({"data": {"a": "b"}, "files": {"f": ("ok.md", b"x")}}, 422, "a"),
        ({"files": {"f": ("a/b.md", b"x")}}, 422, "name"),
        ({"files": {"f": ("..", b"x")}}, 422, "name"),
        ({"files": {"f": ("x" * 256, b"x")}}, 422, "name"),
        ({"files": [("f", (f"{n}.md", b"x")) for n in range(101)]}, 422, "body"),
    ]:
        answer = await world.owner("POST", path, **sent)  # type: ignore[arg-type]
        assert answer.status_code == status, (str(sent)[:100], answer.text)
        named = fields_of(answer)
        assert named == [field] or (not field and len(named) == 1)
    assert (await world.owner("GET", path, 200)).json()["items"] == []
