"""The functions' code. Each folder is a room: what may be in it, and what it may import.

The table is in CONTRIBUTING.md, "The map of the house"; a test holds it.
"""
