"""Trained models that come with the package: a pair of files each, its weights and its card."""
