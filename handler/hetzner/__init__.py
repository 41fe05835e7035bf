"""Hetzner: its API, and a survey of a project. Only api.py imports hcloud."""
