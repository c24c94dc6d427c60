"""Bringing a data source up to date: plan, fetch, extract, stage, guard, publish."""
