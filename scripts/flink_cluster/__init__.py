"""A standalone Flink cluster on this machine."""
