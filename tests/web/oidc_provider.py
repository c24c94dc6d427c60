"""A small provider of OpenID Connect on loopback: real metadata, keys, codes and RS256 tokens; what it says can be turned wrong."""

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

CLIENT_ID, CLIENT_SECRET = "tidings", "a client's secret"


@dataclass
class Provider:
    """`claims` go into the next ID tokens over what is right, those that are None are left out; `metadata` over what it says of itself;
    `raw` has the bytes that are answered at a path in place of what should be."""

    url: str = ""
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "first"}))
    other_keys: list[Any] = field(default_factory=list)  # that stand in its set before its own
    signing: RSAKey | OctKey | None = None
    algorithm: str = "RS256"
    claims: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    raw: dict[str, bytes] = field(default_factory=dict)
    asked: dict[str, dict[str, str]] = field(default_factory=dict)  # code -> the parameters of its request
    requests: list[str] = field(default_factory=list)

    def signs_in(self, url: str) -> str:
        """Somebody goes to this address of ours, and signs in: the query with which the browser is sent back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self.asked)}"
        self.asked[code] = asked
        return f"code={code}&state={asked['state']}"

    def page(self, url: str) -> str:
        """What somebody with a browser sees at this address of ours: one may sign in, or not."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        back, who = asked["redirect_uri"], self.claims.get("email", "Bob")
        ways = {f"Sign in as {who}": self.signs_in(url), "Cancel": urlencode({"error": "access_denied", "state": asked["state"]})}
        links = "".join(f'<p><a href="{escape(f"{back}?{query}")}">{escape(words)}</a>' for words, query in ways.items())
        return f'<!doctype html><html lang="en"><title>Example SSO</title><h1>Who are you?</h1>{links}'

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, dict[str, Any]]:
        """(status, JSON) of a request."""
        self.requests.append(path)
        if path == "/.well-known/openid-configuration":
            places = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/jwks", "userinfo_endpoint": "/userinfo"}
            return 200, {"issuer": self.url, **{name: self.url + place for name, place in places.items()}, **self.metadata}
        if path == "/jwks":
            return 200, {"keys": [*self.other_keys, self.key.as_dict(private=False)]}
        if path == "/userinfo":
            return 200, self.userinfo
        if (method, path) == ("POST", "/token"):
            return self._redeemed(headers, {name: values[0] for name, values in parse_qs(body.decode()).items()})
        return 404, {}

    def _redeemed(self, headers: Any, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET.replace(' ', '+').replace(chr(39), '%27')}".encode()).decode()
        asked = self.asked.pop(form.get("code", ""), None)  # a code is good once
        if headers.get("Authorization") != f"Basic {basic}" or form["grant_type"] != "authorization_code":
            return 401, {"error": "invalid_client"}
        if asked is None or asked["redirect_uri"] != form["redirect_uri"] or create_s256_code_challenge(form["code_verifier"]) != asked["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        right = {"iss": self.url, "sub": "bob-1", "aud": CLIENT_ID, "exp": int(time.time()) + 300, "iat": int(time.time()), "nonce": asked["nonce"]}
        said = {**right, "email": "Bob@example.com", "email_verified": True, **self.claims}
        signing = self.signing or self.key
        header = {"alg": self.algorithm, "kid": self.key.kid if signing is self.key else "first"}
        token = jwt.encode(header, {name: value for name, value in said.items() if value is not None}, signing, [self.algorithm])
        return 200, {"access_token": "access", "token_type": "Bearer", "id_token": token}


@contextlib.contextmanager
def a_provider(port: int = 0) -> Iterator[Provider]:
    """One that listens for the length of the block."""
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.respond()

        def do_POST(self) -> None:
            self.respond()

        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.path.startswith("/authorize?"):
                status, kind, answer = 200, "text/html; charset=utf-8", provider.page(self.path).encode()
            else:
                status, found = provider.answer(self.command, urlsplit(self.path).path, self.headers, body)
                kind, answer = "application/json", provider.raw.get(urlsplit(self.path).path, json.dumps(found).encode())
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        provider.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()
