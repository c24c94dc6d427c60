"""Bodies of calls of trigger URLs, kept for as long as a mapping may want to look at them."""

LARGEST_BODY = 1024 * 1024  # bytes
ROOM = 32 * LARGEST_BODY  # for the bodies of all calls at once: whoever sends one may be a stranger


class Room:
    """What is left of the memory for bodies."""

    def __init__(self) -> None:
        self.left = ROOM


class Body:
    """The body of one call as it comes in. Where there is no room it is counted, and not kept."""

    def __init__(self, room: Room) -> None:
        self.size = 0
        self._room = room
        self._kept: bytearray | None = bytearray()

    def add(self, piece: bytes) -> None:
        """Takes in what came."""
        self.size += len(piece)
        if self.size > LARGEST_BODY or len(piece) > self._room.left:
            self.forget()
        elif self._kept is not None:
            self._room.left -= len(piece)
            self._kept += piece

    def content(self) -> bytes | None:
        """All of it; None where it was not kept."""
        return None if self._kept is None else bytes(self._kept)

    def forget(self) -> None:
        """Gives the room back."""
        if self._kept is not None:
            self._room.left += len(self._kept)
            self._kept = None
