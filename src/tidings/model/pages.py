"""A page of a list, read by key: no offset, no count, so that long lists stay quick."""

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items, in order, and what to ask for the next ones with; None at the end."""

    items: tuple[T, ...]
    next_cursor: str | None
