"""Datasets of the package reasoning-gym whose questions and answers are grids."""
