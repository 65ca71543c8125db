"""Pairs of grids from plain files: a task of anyone's own, without code."""
