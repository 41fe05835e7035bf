"""What flows: the documents in the state machine, and the words that all rooms share."""
