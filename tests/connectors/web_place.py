"""A place on loopback that is read over HTTP."""

import asyncio
from abc import abstractmethod

from tests.connectors.behaviours import Place
from tests.connectors.site import Resource, Site


class Gate(asyncio.Event):
    """Lets so many requests through, then keeps all others until it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.left: int | None = None
        self.waiting = 0

    async def wait(self) -> bool:  # type: ignore[override]  # typeshed says Literal[True]
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.waiting += 1
                try:
                    await super().wait()
                finally:
                    self.waiting -= 1
        return True


class WebPlace(Place):
    """Rows behind one URL each; `laid_out` says what is where. A row that is spoilt answers 404."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.site = site
        self.gate = Gate()
        site.open = self.gate
        self.texts: dict[str, str] = {}
        self.spoilt: set[str] = set()
        self.refusing = 200
        site.otherwise = self._answer

    @abstractmethod
    def laid_out(self) -> dict[str, Resource]:
        """Every path of the site."""

    @abstractmethod
    def key(self, name: str) -> str:
        """The key of a row."""

    def _answer(self, path: str) -> Resource:
        if self.refusing != 200:
            return Resource(b"no", status=self.refusing, tagged=False)
        return self.laid_out().get(path, Resource(b"not here", status=404, tagged=False))

    @property
    def reads(self) -> list[str]:
        keys = {self.path(name): self.key(name) for name in self.texts}
        return [keys.get(one.path, one.path) for one in self.site.asked if one.sent and one.status == 200 and one.path not in self.uncounted()]

    @abstractmethod
    def path(self, name: str) -> str:
        """Where a row is."""

    def uncounted(self) -> frozenset[str]:
        """Paths whose answers are no contents of rows: lists of them."""
        return frozenset()

    async def put(self, name: str, text: str) -> str:
        self.texts[name] = text
        self.spoilt.discard(name)
        return self.key(name)

    async def remove(self, name: str) -> None:
        del self.texts[name]

    async def spoil(self, name: str) -> None:
        self.spoilt.add(name)

    async def take_down(self) -> None:
        self.refusing = 503

    async def refuse(self) -> None:
        self.refusing = 403

    async def bring_back(self) -> None:
        self.refusing = 200

    async def hold(self, after: int = 0) -> None:
        self.gate.clear()
        self.gate.left = after

    async def release(self) -> None:
        self.gate.left = None
        self.gate.set()

    @property
    def waiting(self) -> int:
        return self.gate.waiting
