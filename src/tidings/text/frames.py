"""How the server, the nursery and its children frame what they say to each other."""

import struct

ORDER = struct.Struct("!cI")
"""An order to the nursery: a verb (`F` fork, `K` kill) and a process id."""
LENGTH = struct.Struct("!Q")
"""What stands before each message: the length of its body in bytes."""
