"""The receiver self-test of an outgoing webhook."""

from fastapi import APIRouter
from pydantic import Field

from tidings.web.api.calling import Db, House, Owner
from tidings.web.api.shapes import Id, PathId, Shape
from tidings.webhooks import check as checking
from tidings.webhooks.check import Check, Name, Verdict

router = APIRouter(prefix="/api/v1", tags=["Webhooks"])


class CheckShape(Shape):
    """One request of a self-test, and what came of it."""

    name: Name
    sent: bool = Field(description="false behind a good delivery that was not accepted.")
    delivery_id: Id | None = Field(description="The test delivery that it was.")
    status: int | None = Field(description="null where there was no answer.")
    accepted: bool | None = Field(description="Whether it was answered with 2xx.")
    duration_ms: int | None
    verdict: Verdict
    sentence: str = Field(description="What it shows, and what to do.")


class ChecksShape(Shape):
    """What a receiver accepts and refuses."""

    checks: list[CheckShape]
    verdict: Verdict = Field(description="The worst of all.")


@router.post("/webhooks/{webhook_id}/check", summary="Check the receiver of a webhook")
async def check_webhook(webhook_id: PathId, caller: Owner, db: Db, house: House) -> ChecksShape:
    """Sends test deliveries of an outgoing hook, also of a disabled one: a good one, one with a wrong signature, one with an old timestamp, the good
    one again, and while a former secret counts one that the new secret alone has signed. Says what the receiver accepted. 409 while another check of
    the webhook is under way."""
    timeout = house.settings.delivery_timeout
    found = await checking.check(db, house.secretbox, house.outbound, timeout, caller.workspace_id, webhook_id)
    return ChecksShape(checks=[_shape(each) for each in found], verdict=checking.verdict_of(found))


def _shape(one: Check) -> CheckShape:
    return CheckShape(
        name=one.name,
        sent=one.accepted is not None,
        delivery_id=one.delivery_id,
        status=one.status,
        accepted=one.accepted,
        duration_ms=one.duration_ms,
        verdict=one.verdict,
        sentence=one.sentence,
    )
