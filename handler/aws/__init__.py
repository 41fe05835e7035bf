"""AWS: clients, tokens, settings, the log."""
