"""A git server on loopback, by HTTPS: dulwich's own, or git's where that is installed. Commits are real ones, made when somebody asks."""

import os
import shutil
import stat
import subprocess
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from dulwich.index import commit_tree
from dulwich.objects import Blob, Commit, ObjectID
from dulwich.refs import Ref
from dulwich.repo import Repo
from dulwich.server import BackendRepo, DictBackend
from dulwich.web import make_wsgi_chain
from werkzeug.serving import BaseWSGIServer, make_server

from tests.certificates import server_context
from tests.connectors.stores import Gate

GIT = shutil.which("git")
FILE = 0o100644


class GitHost:
    """Serves one bare repository, `book.git`, to who knows the token, if there is one."""

    def __init__(self, folder: Path, *, by_git: bool = False) -> None:
        self.folder = folder
        self.by_git = by_git
        self.repo = Repo.init_bare(str(folder / "book.git"), mkdir=True, default_branch=b"main")
        self.repo.get_config().set(b"uploadpack", b"allowFilter", b"true")
        self.repo.get_config().write_to_path()
        self.files: dict[str, bytes] = {}
        self.modes: dict[str, int] = {}
        self.branch = "main"
        self.token: str | None = None
        self.asked: list[str] = []
        self.packs: list[str] = []  # one for each pack that was given away
        self.gate = Gate()
        self.redirect: str | None = None
        self.dirty = False
        self.port = 0
        served: dict[str, BackendRepo] = {"/book.git": self.repo}
        self._app = _by_git(folder) if by_git else make_wsgi_chain(DictBackend(served))
        self._tls = server_context(folder, [x509.IPAddress(ip_address("127.0.0.1"))])
        self._server: BaseWSGIServer | None = None
        self._lock = threading.Lock()

    def start(self) -> Self:
        self._server = make_server("127.0.0.1", self.port, self._serve, threaded=True, ssl_context=self._tls)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/book.git"

    def put(self, name: str, content: bytes, mode: int = FILE) -> None:
        self.files[name], self.modes[name], self.dirty = content, mode, True

    def remove(self, name: str) -> None:
        del self.files[name]
        self.dirty = True

    def commit(self, *, orphan: bool = False) -> None:
        """All files, as one more commit of the branch; `orphan`: instead of all that there were (a force-push)."""
        blobs = []
        for name, content in self.files.items():
            mode = self.modes[name]
            if stat.S_IFMT(mode) == 0o160000:
                blobs.append((name.encode(), ObjectID(b"1" * 40), mode))
                continue
            blob = Blob.from_string(content)
            self.repo.object_store.add_object(blob)
            blobs.append((os.fsencode(name), blob.id, mode))
        ref = Ref(f"refs/heads/{self.branch}".encode())
        commit = Commit()
        commit.tree = commit_tree(self.repo.object_store, blobs)
        commit.parents = [] if orphan or ref not in self.repo.refs else [self.repo.refs[ref]]
        commit.author = commit.committer = b"Somebody <somebody@example.com>"
        commit.author_time = commit.commit_time = int(time.time())
        commit.author_timezone = commit.commit_timezone = 0
        commit.message = b"What is new"
        self.repo.object_store.add_object(commit)
        self.repo.refs[ref] = commit.id
        self.dirty = False

    def _serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.asked.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        if self.redirect is not None:
            start_response("302 Found", [("Location", self.redirect), ("Content-Length", "0")])
            return []
        credential = b64encode(f"x-access-token:{self.token}".encode()).decode()
        if self.token is not None and environ.get("HTTP_AUTHORIZATION") != f"Basic {credential}":
            start_response("401 Unauthorized", [("WWW-Authenticate", 'Basic realm="book"'), ("Content-Length", "0")])
            return []
        with self._lock:
            if self.dirty:
                self.commit()
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if b"want " in body:
            self.gate.pass_through("pack")
            self.packs.append("pack")
        environ["wsgi.input"] = _Body(body)
        return self._app(environ, start_response)


class _Body:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, size: int = -1) -> bytes:
        size = len(self._content) if size < 0 else size
        piece, self._content = self._content[:size], self._content[size:]
        return piece


def _by_git(folder: Path) -> Callable[..., Iterable[bytes]]:
    """`git http-backend` as the CGI program that it is."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        names = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE", "HTTP_GIT_PROTOCOL", "HTTP_CONTENT_ENCODING")
        given = {name: str(environ[name]) for name in names if environ.get(name)}
        body = environ["wsgi.input"].read()
        settings = {"GIT_PROJECT_ROOT": str(folder), "GIT_HTTP_EXPORT_ALL": "1", "PATH": os.environ["PATH"], "CONTENT_LENGTH": str(len(body))}
        if "HTTP_GIT_PROTOCOL" in given:
            settings["GIT_PROTOCOL"] = given["HTTP_GIT_PROTOCOL"]
        safe = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
        done = subprocess.run([str(GIT), "http-backend"], input=body, env={**given, **settings, **safe}, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        start_response(headers.pop("Status", "200 OK"), [*headers.items(), ("Content-Length", str(len(content)))])
        return [content]

    return app
