"""Datasets: on-disk format, reading of puzzle files, and the stream of training batches."""
