"""Frozen data that rooms hand to each other."""
