"""The only door to the network: every address that is dialled is checked, every request has one deadline, every answer a bound."""

from tidings.outbound.answer import Answer, Got
from tidings.outbound.client import Explanation, Outbound
from tidings.outbound.guard import Target, check_address, check_url
from tidings.outbound.own import INBOX_PATH, INBOX_SECRET, Place, inboxes_at, own_places
from tidings.outbound.proxy import Proxy, told_by_proxy

__all__ = [
    "INBOX_PATH", "INBOX_SECRET", "Answer", "Explanation", "Got", "Outbound", "Place", "Proxy", "Target",
    "check_address", "check_url", "inboxes_at", "own_places", "told_by_proxy",
]  # fmt: skip
