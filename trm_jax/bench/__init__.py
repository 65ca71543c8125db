"""Timing: the compiled programs, the input, checkpoints and start-up, also beside a peer."""
