"""Tests of Tidings; what several of them share is imported as `tests.<module>`."""
