"""What starts runs: one file for each function that is no state of a machine."""
