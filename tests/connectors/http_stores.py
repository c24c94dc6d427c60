"""One server on loopback that shows the same files as a WebDAV folder, as a container of Azure and as a GitHub repository, to who is let in."""

import hashlib
import json
import threading
from base64 import b64encode
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.connectors.stores import Gate

PASSWORD = "sesame"


class HttpStores:
    """`files` are below the folder `docs` of the share `/dav`, of the container `box`, and of the repository `we/book`."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.gate = Gate()
        self.asked: list[str] = []
        self.failing: dict[str, tuple[int, bytes]] = {}  # path -> what it answers instead; "" is every path
        self.etags = True
        self.password = PASSWORD
        self.down = False
        self.port = 0
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> Self:
        stores = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                if stores.down:  # what was kept alive ends too
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers, content = stores.reply(self.command, self.path, dict(self.headers), body)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PROPFIND = answer  # noqa: N815 - the base class looks for these

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.down = False
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self) -> None:
        assert self._server is not None
        self.down = True
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def configs(self) -> dict[str, dict[str, Any]]:
        """How a data source of each kind gets in."""
        return {
            "webdav": {"url": f"webdav://127.0.0.1:{self.port}/dav/docs", "options": {"username": "me", "password": PASSWORD}},
            "azure": {"url": "az://box/docs", "options": {"endpoint": self.url, "token": f"?sv=1&sig={PASSWORD}"}},
            "github": {"url": "github://we:book@main/docs", "options": {"endpoint": self.url, "token": PASSWORD}},
        }

    def reply(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        path, query = unquote(urlsplit(target).path), {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        self.asked.append(f"{method} {target}")
        if failing := self.failing.get("") or self.failing.get(path):
            return failing[0], {}, failing[1]
        passes = (f"Basic {b64encode(f'me:{self.password}'.encode()).decode()}", f"Bearer {self.password}")
        if headers.get("Authorization") not in passes and query.get("sig") != self.password:
            return 401, {}, b""
        if method == "PROPFIND":
            return self._multistatus(path.removesuffix("/"), headers, body)
        if query.get("comp") == "list" or "/git/trees/" in path:
            return self._blobs(query) if "comp" in query else self._tree(path)
        return self._file(path)

    def _file(self, path: str) -> tuple[int, dict[str, str], bytes]:
        name = path.removeprefix("/dav/docs/").removeprefix("/box/docs/")
        if "/git/blobs/" in path:
            name = next(name for name, content in self.files.items() if path.endswith(_id(content)))
        if name not in self.files:
            return 404, {}, b""
        self.gate.pass_through(name)
        return 200, self._headers(name), self.files[name]

    def _headers(self, name: str) -> dict[str, str]:
        return {"ETag": f'"{_id(self.files[name])}"'} if self.etags else {"Last-Modified": formatdate(1e9, usegmt=True)}

    def _multistatus(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        assert headers["Depth"] == "1"
        assert b"getetag" in body
        at = path.removeprefix("/dav/docs").strip("/")
        if at in self.files:
            return 207, {}, _multistatus([self._described(path, at)])
        below = {name[len(at) + 1 if at else 0 :]: name for name in self.files if not at or name.startswith(f"{at}/")}
        if not path.startswith("/dav/docs") or (at and not below):
            return 404, {}, b""
        folders = {name.partition("/")[0] for name in below if "/" in name}
        parts = [_response(f"{path}/", "<D:resourcetype><D:collection/></D:resourcetype>")]
        parts += [_response(f"{path}/{folder}/", "<D:resourcetype><D:collection/></D:resourcetype>") for folder in sorted(folders)]
        parts += [self._described(f"{path}/{name}", below[name]) for name in below if "/" not in name]
        return 207, {}, _multistatus(parts)

    def _described(self, path: str, name: str) -> str:
        version = self._headers(name)
        told = f"<D:getetag>{version['ETag']}</D:getetag>" if "ETag" in version else f"<D:getlastmodified>{version['Last-Modified']}</D:getlastmodified>"
        size = f"<D:getcontentlength>{len(self.files[name])}</D:getcontentlength>"
        return _response(f"http://127.0.0.1:{self.port}{path}", f"<D:resourcetype/>{size}{told}")

    def _blobs(self, query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        names = sorted(name for name in (f"docs/{name}" for name in self.files) if name.startswith(query.get("prefix", "")) and name > query.get("marker", ""))
        page = names[: int(query["maxresults"])]
        blobs = "".join(
            f"<Blob><Name>{escape(name)}</Name><Properties><Last-Modified>{formatdate(1e9, usegmt=True)}</Last-Modified>"
            f"<Etag>{_id(self.files[name.removeprefix('docs/')])}</Etag><Content-Length>{len(self.files[name.removeprefix('docs/')])}</Content-Length>"
            "</Properties></Blob>"
            for name in page
        )
        more = f"<NextMarker>{page[-1]}</NextMarker>" if len(names) > len(page) else "<NextMarker/>"
        return 200, {}, f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>{blobs}</Blobs>{more}</EnumerationResults>'.encode()

    def _tree(self, path: str) -> tuple[int, dict[str, str], bytes]:
        if path != "/repos/we/book/git/trees/main":
            return 404, {}, b""
        tree = [{"path": f"docs/{name}", "mode": "100644", "type": "blob", "sha": _id(content), "size": len(content)} for name, content in self.files.items()]
        others = [
            {"path": "docs", "mode": "040000", "type": "tree", "sha": "1"},
            {"path": "docs/link.md", "mode": "120000", "type": "blob", "sha": "2", "size": 3},
            {"path": "docs/module", "mode": "160000", "type": "commit", "sha": "3"},
            {"path": "README.md", "mode": "100644", "type": "blob", "sha": "4", "size": 3},
        ]
        return 200, {}, json.dumps({"sha": "5", "tree": [*tree, *others], "truncated": False}).encode()


def _id(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()  # noqa: S324 - as git does


def _multistatus(parts: list[str]) -> bytes:
    return f'<?xml version="1.0"?><D:multistatus xmlns:D="DAV:">{"".join(parts)}</D:multistatus>'.encode()


def _response(path: str, properties: str) -> str:
    href = quote(path, safe="/:")
    return f"<D:response><D:href>{href}</D:href><D:propstat><D:prop>{properties}</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
