"""What the tests of faults share with those of the flows: one bot with its hooks on each kind of database, and a receiver."""

from tests.flows.conftest import house, receiver

__all__ = ["house", "receiver"]
