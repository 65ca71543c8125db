"""Pairs of grids from plain files: tasks of users, without code."""
