"""Signatures, judged by the `standardwebhooks` package; and the forms of secrets."""

import base64
import json
import secrets
from datetime import UTC, datetime

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from tidings import clock
from tidings.errors import Invalid, TidingsError
from tidings.secretbox import SecretBox
from tidings.webhooks.keys import jwk, new_key, open_private, public_key, shown
from tidings.webhooks.signing import new_signing_secret, parse_signing_secret, sign, verify
from tidings.webhooks.trigger_secret import check_trigger_secret, new_trigger_secret

ids = st.text("abcdefgh0123456789-", min_size=1, max_size=40)
bodies = st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers()).map(lambda value: json.dumps(value, ensure_ascii=False).encode())
raw_keys = st.binary(min_size=24, max_size=64)


def _headers(message_id: str, timestamp: int, signature: str) -> dict[str, str]:
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}


@given(raw_keys, raw_keys, ids, bodies.filter(lambda body: b"\\ud" not in body))
def test_the_reference_accepts_each_live_secret(one: bytes, other: bytes, message_id: str, body: bytes) -> None:
    now = int(datetime.now(UTC).timestamp())
    headers = _headers(message_id, now, sign([one, other], message_id, now, body))
    for key in (one, other):
        assert Webhook("whsec_" + base64.b64encode(key).decode()).verify(body, headers) == json.loads(body)
        assert verify([key], headers, body, clock.now()) is None
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()).verify(body, headers)
    assert "No signature fits" in str(verify([secrets.token_bytes(32)], headers, body, clock.now()))


@given(raw_keys, ids, bodies.filter(lambda body: b"\\ud" not in body), st.integers(0, 4_000_000_000))
def test_it_is_the_reference_s_own_signature(key: bytes, message_id: str, body: bytes, timestamp: int) -> None:
    reference = Webhook("whsec_" + base64.b64encode(key).decode()).sign(message_id, datetime.fromtimestamp(timestamp, UTC), body.decode())
    assert sign([key], message_id, timestamp, body) == reference


@given(raw_keys, st.text(max_size=40), st.binary(max_size=300), st.integers(0, 4_000_000_000), st.binary(min_size=32, max_size=32))
def test_v1a_is_ed25519_over_the_same_content_whatever_it_is(key: bytes, message_id: str, body: bytes, timestamp: int, seed: bytes) -> None:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    symmetric, asymmetric = sign([key], message_id, timestamp, body, private).split(" ")
    assert symmetric == sign([key], message_id, timestamp, body)
    version, encoded = asymmetric.split(",")
    assert version == "v1a"
    public, content = private.public_key(), f"{message_id}.{timestamp}.".encode() + body
    public.verify(base64.b64decode(encoded, validate=True), content)
    with pytest.raises(InvalidSignature):
        public.verify(base64.b64decode(encoded), content + b" ")


@given(raw_keys, ids, bodies.filter(lambda body: b"\\ud" not in body))
def test_the_reference_passes_over_what_it_does_not_know(key: bytes, message_id: str, body: bytes) -> None:
    now = int(datetime.now(UTC).timestamp())
    headers = _headers(message_id, now, sign([key], message_id, now, body, Ed25519PrivateKey.generate()))
    assert Webhook("whsec_" + base64.b64encode(key).decode()).verify(body, headers) == json.loads(body)
    assert verify([key], headers, body, clock.now()) is None


def test_a_key_is_named_by_its_thumbprint() -> None:
    """The example of RFC 8037, appendices A.2 and A.3."""
    key = public_key(base64.urlsafe_b64decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo="))
    assert key.kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert jwk(key) == {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": key.kid, "use": "sig", "alg": "EdDSA"}
    assert base64.b64decode(shown(key).removeprefix("whpk_")) == key.raw


def test_a_private_key_opens_only_where_it_was_sealed() -> None:
    box = SecretBox([secrets.token_bytes(32)])
    one, other = new_key(box), new_key(box)
    assert open_private(box, one.public.kid, one.sealed).public_key().public_bytes_raw() == one.public.raw
    with pytest.raises(TidingsError, match="can't be opened"):
        open_private(box, other.public.kid, one.sealed)


def test_the_reference_accepts_a_new_secret() -> None:
    secret, now, body = new_signing_secret(), int(datetime.now(UTC).timestamp()), b'{"success": true}'
    assert len(parse_signing_secret(secret)) == 32
    Webhook(secret).verify(body, _headers("m", now, sign([parse_signing_secret(secret)], "m", now, body)))
    assert secret != new_signing_secret()


@given(raw_keys, st.binary(max_size=200), st.integers(1_000_000_000, 3_000_000_000), st.data())
def test_any_change_is_noticed(key: bytes, body: bytes, timestamp: int, data: st.DataObject) -> None:
    headers = _headers("m1", timestamp, sign([key], "m1", timestamp, body))
    now = timestamp * clock.SECOND
    assert verify([key], headers, body, now + data.draw(st.integers(-300, 300)) * clock.SECOND) is None
    assert "No signature fits" in str(verify([key], headers, body + b" ", now))
    assert "No signature fits" in str(verify([key], headers | {"webhook-id": "m2"}, body, now))
    assert "No signature fits" in str(verify([key], headers | {"webhook-timestamp": str(timestamp + 1)}, body, now))
    assert "No signature fits" in str(verify([key], headers | {"webhook-signature": "v1,\udc80 v1a,xx v1 "}, body, now))
    assert "old" in str(verify([key], headers, body, now + 302 * clock.SECOND))
    assert "future" in str(verify([key], headers, body, now - 302 * clock.SECOND))


def test_what_is_missing_or_malformed_is_named() -> None:
    headers = _headers("m", 5, sign([b"k" * 32], "m", 5, b""))
    for name in headers:
        assert verify([b"k" * 32], {k: v for k, v in headers.items() if k != name}, b"", 0) == f"The header {name} is missing."
    for bad in ("soon", "-5", "5.0", "٥", "9" * 30):
        assert verify([b"k" * 32], headers | {"webhook-timestamp": bad}, b"", 0) == "The header webhook-timestamp is not a number of seconds."


@given(st.binary(max_size=80))
def test_own_secrets_of_24_to_64_bytes_will_do(key: bytes) -> None:
    encoded = base64.b64encode(key).decode()
    if 24 <= len(key) <= 64:
        assert parse_signing_secret("whsec_" + encoded) == parse_signing_secret("whsec_" + encoded.rstrip("=")) == key
    else:
        with pytest.raises(Invalid, match=rf"24 to 64 bytes in base64, not {len(key)}\."):
            parse_signing_secret("whsec_" + encoded)


@pytest.mark.parametrize(
    "bad",
    ["", "hunter2hunter2hunter2hunter2", "WHSEC_" + "A" * 44, "whsec_" + "A" * 40 + "!!!!", "whsec_" + "é" * 44, "whsec_" + "A" * 41, " whsec_" + "A" * 44],
)
def test_other_own_secrets_are_refused_in_a_sentence_that_does_not_repeat_them(bad: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_signing_secret(bad, "secret")
    [problem] = caught.value.errors
    assert problem.field == "secret"
    assert problem.message.endswith(".")
    assert len(bad) < 8 or bad not in problem.message


def test_trigger_secrets() -> None:
    secret = new_trigger_secret()
    assert len(secret) == 32
    assert set(secret) <= set("0123456789abcdef")
    assert check_trigger_secret(secret) == secret
    assert secret != new_trigger_secret()


@given(st.text(st.sampled_from("AZaz09._~-/%é\n "), max_size=140))
def test_own_trigger_secrets(secret: str) -> None:
    if 16 <= len(secret) <= 128 and not set(secret) & set("/%é\n "):
        assert check_trigger_secret(secret) == secret
    else:
        with pytest.raises(Invalid, match="16 to 128 characters"):
            check_trigger_secret(secret)
