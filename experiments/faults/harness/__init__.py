"""Runs the real processes, breaks them as a seed says, and holds the result against the oracle."""
