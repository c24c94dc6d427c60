"""What the web needs of the rest of the house; made once, by whoever serves."""

import asyncio
from dataclasses import dataclass, field

from tidings.outbound import Outbound
from tidings.secretbox import SecretBox
from tidings.settings import Settings
from tidings.store.database import Database


@dataclass(frozen=True, slots=True)
class Services:
    """`base_url` is how others reach us, without a slash at its end. `stopping` is set when the server is to end: who holds an answer back gives it then."""

    db: Database
    settings: Settings
    secretbox: SecretBox
    outbound: Outbound
    base_url: str
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
