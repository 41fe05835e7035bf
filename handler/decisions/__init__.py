"""Decisions, each with its reason: no clock, environment, chance or network."""
