"""Which rows a sync is about, when it is not about the whole of its data source."""

import json
import re
from dataclasses import dataclass
from typing import Self

MOST = 500  # rows that one sync is asked for by name; beyond that it is quicker to ask the source for all
LONGEST = 2_048  # characters of one key or URL
MOST_TEXT = 100_000  # characters of all of them
_IN_NO_NAME = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class KeysAndUrls:
    """What is told by keys and by URLs, and how that lies in the database."""

    keys: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()

    def packed(self) -> str:
        """As they lie in the database."""
        return json.dumps({"keys": self.keys, "urls": self.urls})

    @classmethod
    def unpacked(cls, text: str | None) -> Self | None:
        """From what `packed` made; None is None."""
        if text is None:
            return None
        told = json.loads(text)
        return cls(tuple(told["keys"]), tuple(told["urls"]))


@dataclass(frozen=True, slots=True)
class Targets(KeysAndUrls):
    """Rows by key or by URL, each once, in the order in which they were asked for. None, where there can be none: the whole source."""

    def __len__(self) -> int:
        return len(self.keys) + len(self.urls)

    def fit(self) -> bool:
        """Whether these are few enough, and each can be the key or URL of a row. Where they are not, the whole source is to be synced."""
        every = (*self.keys, *self.urls)
        return 0 < len(every) <= MOST and sum(map(len, every)) <= MOST_TEXT and all(map(can_be, every))

    def joined(self, more: "Targets") -> "Targets":
        """These and those."""
        return Targets(tuple(dict.fromkeys((*self.keys, *more.keys))), tuple(dict.fromkeys((*self.urls, *more.urls))))


def can_be(name: str) -> bool:
    """Whether a row can have it as its key or URL, so that databases and sources can be asked for it: of a length, without NUL and lone surrogates."""
    return 0 < len(name) <= LONGEST and not _IN_NO_NAME.search(name)
