"""Data sets: format, builders, and the stream of training batches."""
