"""Inference with a trained model: rollout, halting, search, evaluation."""
