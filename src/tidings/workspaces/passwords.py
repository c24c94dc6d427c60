"""Passwords: which ones are taken, what is kept of them (argon2id), whether one fits."""

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from pwdlib import PasswordHash

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 1024
NO_PASSWORD = ""  # what is kept of somebody who signs in elsewhere

# Hashing takes 64 MB of memory and a core for a while, by intent: two at a time, whoever knocks.
_hashers = ThreadPoolExecutor(2, "passwords")


def what_is_wrong_with_password(password: str) -> str | None:
    """The sentence that says why this can't be a password; None where it can."""
    if len(password) < SHORTEST_PASSWORD:
        return f"It is {len(password)} character{'s' * (len(password) > 1)} long. Take at least {SHORTEST_PASSWORD}."
    if len(password) > LONGEST_PASSWORD:
        return f"It is longer than {LONGEST_PASSWORD} characters. Take a shorter one."
    return None


async def hashed(password: str) -> str:
    """What is kept of a password."""
    return await asyncio.get_running_loop().run_in_executor(_hashers, PasswordHash.recommended().hash, password)


async def fits(password: str, password_hash: str) -> bool:
    """Whether this is the password. Of somebody who has none, it takes as long to find out."""
    nobodys = await asyncio.get_running_loop().run_in_executor(_hashers, _nobodys_hash)
    if len(password) > LONGEST_PASSWORD:
        password = ""  # nobody has it
    right = await asyncio.get_running_loop().run_in_executor(_hashers, PasswordHash.recommended().verify, password, password_hash or nobodys)
    return right and password_hash != NO_PASSWORD


@cache
def _nobodys_hash() -> str:
    """What is compared where there is no password."""
    return PasswordHash.recommended().hash(secrets.token_urlsafe(16))
