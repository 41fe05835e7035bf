"""What starts runs: StartRun, which is not a state of the state machine."""
