"""One nursery for all engines of a process that runs tests, with which it ends: each would spend half a second on loading its own."""

from tidings.text.pool import Nursery

NURSERY = Nursery()
