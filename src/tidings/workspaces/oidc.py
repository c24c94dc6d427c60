"""Signing in at a provider of OpenID Connect: the authorization code flow with PKCE, state and nonce. What the provider says is checked before it counts.

All requests pass the door. What the provider says of itself is kept for an hour.
"""

import base64
import hmac
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import orjson
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import get_well_known_url
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from tidings import clock
from tidings.clock import Micros
from tidings.errors import Forbidden, Unanswered, Unavailable
from tidings.model.oidc import LASTS, Attempt, Person
from tidings.outbound import Outbound
from tidings.settings import Settings
from tidings.workspaces.setup import what_is_wrong_with_email

KEPT: Micros = 3600 * clock.SECOND  # what the provider says of itself, and its keys
KEYS_AGAIN: Micros = 60 * clock.SECOND  # keys are asked for again, where one is missing, not more often than this
LIMIT = 256 * 1024  # bytes of an answer
SECONDS = 10.0  # for one request
CLOCKS = 60  # seconds that the provider's clock may be off
ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
)  # none of those for which the client's secret is the key
AGAIN = "Try again; if it happens again, tell whoever runs Tidings."


class Provider:
    """The provider that the settings name."""

    def __init__(self, settings: Settings, outbound: Outbound, redirect_uri: str) -> None:
        assert settings.oidc_issuer
        assert settings.oidc_client_id
        assert settings.oidc_client_secret
        self.issuer, self.name, self.redirect_uri = settings.oidc_issuer, settings.oidc_name, redirect_uri
        self._client_id, self._client_secret = settings.oidc_client_id, settings.oidc_client_secret.get_secret_value()
        self._outbound = outbound
        self._metadata: tuple[Micros, Mapping[str, Any]] | None = None
        self._keys: tuple[Micros, KeySet] | None = None

    async def begin(self, path: str) -> tuple[str, Attempt]:
        """Where to send somebody, and what the browser keeps meanwhile. Unavailable."""
        metadata = await self._about_itself()
        attempt = Attempt(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48), path, clock.now())
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self.redirect_uri,
            "scope": "openid email",
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": create_s256_code_challenge(attempt.verifier),
            "code_challenge_method": "S256",
        }
        return str(add_params_to_uri(self._endpoint(metadata, "authorization_endpoint"), list(asked.items()))), attempt

    async def finish(self, attempt: Attempt, came: Mapping[str, str]) -> Person:
        """Who came back from the provider, by the parameters of that address. Forbidden, Unavailable."""
        if clock.now() - attempt.at > LASTS or not hmac.compare_digest(attempt.state.encode(), came.get("state", "").encode()):
            raise Forbidden("This sign-in is over, or was begun in another browser. Sign in again.")
        metadata = await self._about_itself()
        if came.get("iss", self.issuer) != self.issuer or (metadata.get("authorization_response_iss_parameter_supported") is True and "iss" not in came):
            raise Forbidden(f"The answer did not come from {self.name}. {AGAIN}")
        if came.get("error") == "access_denied":
            raise Forbidden(f"{self.name} did not sign you in: you chose not to, or may not come here. Sign in again, or ask whoever runs {self.name}.")
        if "code" not in came:
            raise Forbidden(f"{self.name} did not sign you in ({came.get('error', 'no code')[:100]}). {AGAIN}")
        tokens = await self._redeem(metadata, came["code"], attempt.verifier)
        claims = await self._verified(metadata, tokens, attempt.nonce)
        return self._person(claims if "email" in claims else {**await self._userinfo(metadata, claims, tokens), **claims})

    async def _redeem(self, metadata: Mapping[str, Any], code: str, verifier: str) -> Mapping[str, Any]:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri, "code_verifier": verifier}
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        ways = metadata.get("token_endpoint_auth_methods_supported")
        if not isinstance(ways, list) or not ways or "client_secret_basic" in ways:
            pair = f"{quote_plus(self._client_id)}:{quote_plus(self._client_secret)}"  # RFC 6749, section 2.3.1
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": self._client_id, "client_secret": self._client_secret}
        return await self._asked(self._endpoint(metadata, "token_endpoint"), headers, body=urlencode(form).encode())

    async def _verified(self, metadata: Mapping[str, Any], tokens: Mapping[str, Any], nonce: str) -> Mapping[str, Any]:
        """The claims of an ID token that this provider made for us, now, for this very attempt. Forbidden."""
        raw = tokens.get("id_token")
        if not isinstance(raw, str):
            raise Forbidden(f"{self.name} sent no ID token. {AGAIN}")
        try:
            token = await self._decoded(metadata, raw)
            options = {"iss": {"essential": True, "value": self.issuer}, "aud": {"essential": True, "value": self._client_id}}
            params = {"nonce": nonce, "client_id": self._client_id, "access_token": tokens.get("access_token")}
            CodeIDToken(token.claims, token.header, options, params).validate(clock.now() // clock.SECOND, CLOCKS)
        except (JoseError, ValueError, TypeError, RecursionError) as error:  # the last of JSON that is nested without end
            raise Forbidden(f"What {self.name} says of you can't be trusted ({error}), so you are not signed in. {AGAIN}") from error
        return token.claims

    async def _decoded(self, metadata: Mapping[str, Any], raw: str) -> jwt.Token:
        try:
            return jwt.decode(raw, await self._key_set(metadata), ALGORITHMS)
        except (InvalidKeyIdError, ValueError):  # keys were changed at the provider
            return jwt.decode(raw, await self._key_set(metadata, kept=KEYS_AGAIN), ALGORITHMS)

    def _person(self, claims: Mapping[str, Any]) -> Person:
        subject, email = claims.get("sub"), claims.get("email")
        if not isinstance(subject, str) or not 0 < len(subject) <= 255 or not subject.isprintable():
            raise Forbidden(f"{self.name} does not say who you are. {AGAIN}")
        if not isinstance(email, str) or what_is_wrong_with_email(email) is not None:
            raise Forbidden(f"{self.name} tells no e-mail address of yours, and people are known by it here. Ask whoever runs {self.name}.")
        if claims.get("email_verified") is not True:
            raise Forbidden(f"{self.name} has not verified your e-mail address. Verify it there, then sign in again.")
        return Person(self.issuer, subject, email.strip().lower())

    async def _userinfo(self, metadata: Mapping[str, Any], claims: Mapping[str, Any], tokens: Mapping[str, Any]) -> Mapping[str, Any]:
        """More about whom the ID token means, where there is more to be had."""
        if "userinfo_endpoint" not in metadata or not isinstance(tokens.get("access_token"), str):
            return {}
        found = await self._asked(self._endpoint(metadata, "userinfo_endpoint"), {"Authorization": f"Bearer {tokens['access_token']}"})
        if found.get("sub") != claims.get("sub"):
            raise Forbidden(f"{self.name} speaks of two people at once. {AGAIN}")
        return found

    async def _about_itself(self) -> Mapping[str, Any]:
        if self._metadata is None or clock.now() - self._metadata[0] > KEPT:
            found = await self._asked(get_well_known_url(self.issuer, external=True), {"Accept": "application/json"})
            if found.get("issuer") != self.issuer:
                said = f"It calls itself {str(found.get('issuer'))[:200]!r}: correct TIDINGS_OIDC_ISSUER."
                raise Unavailable(f"{self.name} is not the provider that the settings name. {said}")
            self._metadata = (clock.now(), found)
        return self._metadata[1]

    async def _key_set(self, metadata: Mapping[str, Any], kept: Micros = KEPT) -> KeySet:
        if self._keys is None or clock.now() - self._keys[0] > kept:
            found = await self._asked(self._endpoint(metadata, "jwks_uri"), {"Accept": "application/json"})
            keys = found.get("keys")
            if not isinstance(keys, list):
                raise Unavailable(f"{self.name} tells no keys. {AGAIN}")
            self._keys = (clock.now(), KeySet([key for one in keys for key in _usable(one)]))
        return self._keys[1]

    def _endpoint(self, metadata: Mapping[str, Any], name: str) -> str:
        """An address of the provider, which is as safe as the issuer's own. Unavailable."""
        found = metadata.get(name)
        with suppress(ValueError):  # that it is no URL at all
            if isinstance(found, str) and urlsplit(found).scheme in {"https", urlsplit(self.issuer).scheme}:
                return found
        raise Unavailable(f"{self.name} tells no safe {name}. {AGAIN}")

    async def _asked(self, url: str, headers: Mapping[str, str], *, body: bytes = b"") -> Mapping[str, Any]:
        """The JSON object that an address of the provider answers. Forbidden where it says no to a code, Unavailable."""
        try:
            got = await self._outbound.get(url, headers, limit=LIMIT, timeout=SECONDS, method="POST" if body else "GET", body=body)
        except Unanswered as error:
            raise Unavailable(f"{self.name} does not answer, so nobody can sign in there. {error} Try again in a while.") from error
        try:
            found = orjson.loads(got.body)  # which refuses, as a ValueError, also what is nested without end and halves of surrogate pairs
        except ValueError:
            found = None
        if body and got.status in {400, 401, 403}:
            said = str(found.get("error"))[:100] if isinstance(found, dict) else f"status {got.status}"
            raise Forbidden(f"{self.name} did not take the sign-in ({said}). {AGAIN}")
        if got.status != 200 or not isinstance(found, dict):
            raise Unavailable(f"{self.name} answered {got.status} without what it should. {AGAIN}")
        return found


def _usable(one: Any) -> Iterator[Any]:
    """A key of a set, where it is one that we know how to use; the others are not there for us (RFC 7517, section 5)."""
    with suppress(JoseError, ValueError, TypeError):
        yield from KeySet.import_key_set({"keys": [one]}).keys
