"""Tidings keeps the knowledge behind bots in sync with where it really lives, and tells other systems how each sync went."""

from importlib.metadata import version

__version__ = version("tidings")
