"""The public keys of the hooks that sign with Ed25519, for receivers, as a JWK set (RFC 7517)."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from tidings.web.services import Services
from tidings.webhooks.keys import key_set

router = APIRouter(tags=["Webhooks"])


class JwkSetResponse(JSONResponse):
    """An answer of the media type of key sets."""

    media_type = "application/jwk-set+json"


class JwkShape(BaseModel):
    """A public key (RFC 8037)."""

    kty: str = Field(description="`OKP`")
    crv: str = Field(description="`Ed25519`")
    x: str = Field(description="The key, base64url.")
    kid: str = Field(description="The `kid` of the webhook that signs with it.")
    use: str = Field(description="`sig`")
    alg: str = Field(description="`EdDSA`")


class JwkSetShape(BaseModel):
    """Public keys."""

    keys: list[JwkShape]


@router.get("/.well-known/jwks.json", response_class=JwkSetResponse, response_model=JwkSetShape, summary="The public keys of webhooks")
async def jwks(
    request: Request, kid: Annotated[str | None, Query(description="Only this key. Verify with the key of your webhook, never with any that is listed.")] = None
) -> Any:
    """The Ed25519 keys that webhooks sign with, and former ones for a week; at most 1000, each by its `kid`. Public; says of no key whose it is."""
    services: Services = request.state.services
    return JwkSetResponse({"keys": await key_set(services.db, kid)}, headers={"Cache-Control": "public, max-age=300"})
