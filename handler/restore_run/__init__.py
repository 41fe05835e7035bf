"""One file for each state of the machine RestoreRun."""
