"""Benchmarks of the compiled programs, the input pipeline, checkpoints and start-up."""
