"""Mazes on square grids: finding a shortest path."""
