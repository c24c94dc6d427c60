"""What members do not get to see of deliveries."""

from collections.abc import Mapping
from dataclasses import replace

from tidings.model.webhooks import Delivery
from tidings.settings import MASK

# Headers of a request that are ours; members see them, but not what a user added.
_OURS = ("webhook-", "tidings-")
_PLAIN = {"content-type", "content-length", "user-agent", "host", "accept", "accept-encoding"}


def for_members(delivery: Delivery) -> Delivery:
    """The same without where it was sent, and without the values of headers that a user added."""
    attempts = tuple(
        replace(attempt, address=None if attempt.address is None else MASK, request_headers=_headers(attempt.request_headers)) for attempt in delivery.attempts
    )
    return replace(delivery, url=None if delivery.url is None else MASK, headers=_headers(delivery.headers), attempts=attempts)


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value if name.lower().startswith(_OURS) or name.lower() in _PLAIN else MASK for name, value in headers.items()}
