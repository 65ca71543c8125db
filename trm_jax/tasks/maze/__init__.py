"""Shortest paths through mazes on square grids."""
