"""Inboxes: receivers of one's own, and what was posted to them."""

from collections.abc import Mapping
from dataclasses import dataclass

from tidings.clock import Micros
from tidings.outbound import INBOX_PATH

LONGEST_ATTEMPT = 6  # digits


@dataclass(frozen=True, slots=True)
class Inbox:
    """An address that takes POSTs and shows them. `answer`: the status that it answers. `guided`: its page explains the first visit."""

    id: str
    workspace_id: str
    bot_id: str | None
    name: str
    secret: str
    answer: int
    guided: bool
    created_at: Micros

    @property
    def path(self) -> str:
        """Path of its URL, below the base URL. Whoever knows it can post there."""
        return f"{INBOX_PATH}{self.secret}"


@dataclass(frozen=True, slots=True)
class InboxView:
    """An inbox with how many messages it keeps, and when the latest came."""

    inbox: Inbox
    messages: int
    latest_at: Micros | None


@dataclass(frozen=True, slots=True)
class Message:
    """What was posted to an inbox. `headers` by lower-case name, those that may be secret masked; `webhook_id` names the hook that signed it, else
    `problem` says why no signature fits. `after_sync`: how long the sync that it tells of had ended. `body` is None in lists."""

    id: str
    inbox_id: str
    at: Micros
    headers: Mapping[str, str]
    webhook_id: str | None
    problem: str | None
    sync_id: str | None
    after_sync: Micros | None
    answered: int
    body: bytes | None = None

    @property
    def attempt(self) -> str | None:
        """Which attempt it says it is. None where it says nothing that is a number: whoever has the address writes what they like into headers."""
        said = self.headers.get("tidings-attempt", "")
        return said if said.isascii() and said.isdecimal() and len(said) <= LONGEST_ATTEMPT else None
