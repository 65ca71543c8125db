"""Sweeps of several runs: their definitions, processes and reports."""
