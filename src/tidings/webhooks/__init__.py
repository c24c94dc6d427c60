"""Hooks: the incoming one that triggers a sync, the outgoing ones that tell how it went."""
