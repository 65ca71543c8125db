"""Training: loop, train step, optimizers, checkpoints and work directories."""
