"""Lattice deduction (arXiv 2605.08605): a network that narrows candidate sets, and guesses."""
