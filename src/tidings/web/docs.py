"""/openapi.json, and /docs: the same document as a page. It is whole in itself: nothing on it is loaded from elsewhere, no script runs."""

import asyncio
import base64
import hashlib
import json
import re
from collections import defaultdict
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse

from tidings.web.problems import MEDIA_TYPE

router = APIRouter(tags=["Running"])

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 6rem; }
h1 { margin-bottom: 0; } h2 { margin: 3rem 0 1rem; } h3 { font-size: 1rem; margin: 1rem 0 .25rem; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; }
details { border: 1px solid #8884; border-radius: 6px; margin: .5rem 0; }
summary { cursor: pointer; padding: .5rem .75rem; } details > div { padding: 0 .75rem .75rem; overflow-x: auto; }
code, pre { font: 13px/1.45 ui-monospace, monospace; overflow-wrap: anywhere; }
pre { background: #8881; padding: .75rem; border-radius: 6px; overflow-x: auto; }
.method { display: inline-block; min-width: 4.5rem; font-weight: 600; } .what { opacity: .75; margin-left: 1rem; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; }
""".strip()
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_CODE = re.compile(r"`([^`]+)`")
_METHODS = ("get", "post", "patch", "delete")


@router.get("/openapi.json", summary="The OpenAPI 3.1 document")
async def openapi(request: Request) -> JSONResponse:
    """Every route, both webhooks, every problem."""
    return JSONResponse(await asyncio.to_thread(request.state.document))


@router.get("/docs", summary="The API as a page", response_class=HTMLResponse)
async def docs(request: Request) -> HTMLResponse:
    """The OpenAPI document, for people."""
    return HTMLResponse(page(await asyncio.to_thread(request.state.document)), headers={"Content-Security-Policy": _POLICY})


def page(document: dict[str, Any]) -> str:
    """A document as HTML."""
    groups: dict[str, list[str]] = defaultdict(list)
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                groups[operations[method].get("tags", ["Other"])[0]].append(_operation(method.upper(), path, operations[method]))
    groups["Sent to your target URL"] = [_operation("POST", name, item["post"]) for name, item in document["webhooks"].items()]
    groups["Schemas"] = [_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items())]
    links = "".join(f'<a href="#{_anchor(name)}">{escape(name)}</a>' for name in groups)
    sections = "".join(f'<h2 id="{_anchor(name)}">{escape(name)}</h2>{"".join(blocks)}' for name, blocks in groups.items())
    about = "".join(f"<p>{_prose(part)}</p>" for part in document["info"]["description"].split("\n\n"))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(document['info']['title'])} API</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(document['info']['title'])} API</h1><p>Version {escape(document['info']['version'])}, as "
        f'<a href="/openapi.json">OpenAPI {escape(document["openapi"])}</a></p>{about}<nav>{links}</nav>{sections}</body></html>'
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    parts = [f"<p>{_prose(operation.get('description', ''))}</p>"]
    if operation.get("parameters"):
        rows = "".join(
            f"<tr><td><code>{escape(each['name'])}</code></td><td>{escape(each['in'])}{', required' if each.get('required') else ''}</td>"
            f"<td>{_prose(each.get('description') or each['schema'].get('description', ''))}</td></tr>"
            for each in operation["parameters"]
        )
        parts.append(f"<h3>Parameters</h3><table>{rows}</table>")
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<h3>Body, {escape(media_type)}</h3>{_json(content.get('schema', {}))}")
    for status, response in operation["responses"].items():
        parts.append(f"<h3>{escape(status)}: {_prose(response['description'])}</h3>")
        for media_type, content in response.get("content", {}).items():
            if media_type != MEDIA_TYPE:
                parts.append(_json(content.get("schema", {})))
    title = f'<span class="method">{escape(method)}</span><code>{escape(path)}</code><span class="what">{escape(operation.get("summary", ""))}</span>'
    return f"<details><summary>{title}</summary><div>{''.join(parts)}</div></details>"


def _schema(name: str, schema: dict[str, Any]) -> str:
    return f'<details id="schema-{escape(name)}"><summary><code>{escape(name)}</code></summary><div>{_json(schema)}</div></details>'


def _json(schema: dict[str, Any]) -> str:
    reference = schema.get("$ref", "")
    if reference:
        name = reference.rpartition("/")[2]
        return f'<p><a href="#schema-{escape(name)}"><code>{escape(name)}</code></a></p>'
    return f"<pre>{escape(json.dumps(schema, indent=2, ensure_ascii=False))}</pre>"


def _prose(text: str) -> str:
    """A text of the document, what it marks as code set as such."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")
