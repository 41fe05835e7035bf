"""The documents of the state machine, and the words that all rooms share."""
