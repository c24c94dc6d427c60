"""The loops that do due work."""
