"""The functions of the state machine SnapshotRun: one file for each of its states."""
