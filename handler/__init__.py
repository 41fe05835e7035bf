"""The functions' code. Each folder is a room with rules: what may be in it, what it may import.

The table is in CONTRIBUTING.md, "The map of the house"; a test holds it.
"""
