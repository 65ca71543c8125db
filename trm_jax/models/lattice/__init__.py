"""Lattice deduction (arXiv 2605.08605): a network that eliminates candidates and guesses."""
