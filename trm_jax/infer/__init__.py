"""Answers of a trained model: rollout, halting, search, evaluation."""
