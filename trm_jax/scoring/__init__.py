"""Scores that ask what an answer is worth beyond an exact match."""
