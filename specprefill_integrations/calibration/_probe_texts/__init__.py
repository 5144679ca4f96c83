"""The texts of the probe: one kind a file, all invented. Standard library only."""
