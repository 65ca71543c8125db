"""Training: the loop, the step, checkpoints, and what a work directory holds."""
