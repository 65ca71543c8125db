"""The puzzles: each task is one object in one registry, in a folder of its own."""
