"""Which of the pages that a search finds lie below those that were named. Pure: Notion lists them in any order, and each knows its parent only."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Parent:
    """What a page lies in; `block` where that is a block of some page, which the search does not list. None: in nothing that we know."""

    id: str | None
    block: bool = False


def parent_of(it: Mapping[str, Any]) -> Parent:
    """The parent of a page, a block, or a part of a database (its parent is the one of its database)."""
    parent = it.get("database_parent") or it.get("parent") or {}
    kind = parent.get("type", "")
    found = parent.get(kind)
    return Parent(found if isinstance(found, str) else None, kind == "block_id")


class Tree:
    """What is known of the tree so far. Holds the pages whose place is not known yet, and of all others the ids."""

    def __init__(self, roots: Iterable[str]) -> None:
        self._below = dict.fromkeys(roots, True)
        self._waiting: dict[str, list[Mapping[str, Any]]] = {}  # by what they lie in
        self._blocks: dict[str, bool] = {}  # in which some lie -> whether they were looked up

    def place(self, found: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Takes in what a search found; what is now known to lie below."""
        return [below for it in found for below in self._place(it, parent_of(it))]

    def unknown_blocks(self) -> list[str]:
        """The blocks whose own parents decide about pages; `hang` takes each."""
        return [block for block, known in self._blocks.items() if not known]

    def hang(self, block_id: str, parent: Parent) -> list[Mapping[str, Any]]:
        """Takes in where a block lies; what is now known to lie below."""
        self._blocks[block_id] = True
        return self._place({"id": block_id}, parent)

    def _place(self, it: Mapping[str, Any], parent: Parent) -> list[Mapping[str, Any]]:
        below = self._below.get(it["id"]) or (parent.id is not None and self._below.get(parent.id))
        if below is None:
            assert parent.id is not None
            self._waiting.setdefault(parent.id, []).append(it)
            if parent.block:
                self._blocks.setdefault(parent.id, False)
            return []
        decided = [it]
        for each in decided:
            self._below.setdefault(each["id"], below)
            decided += self._waiting.pop(each["id"], ())
        return decided if below else []
