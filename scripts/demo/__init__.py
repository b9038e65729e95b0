"""The demo: a real Flink cluster takes a spike that it could not have taken alone."""
