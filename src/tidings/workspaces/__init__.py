"""Workspaces: set-up, API keys, plans and usage."""
