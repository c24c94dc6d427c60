"""Bots and their data sources: create, change, delete."""
