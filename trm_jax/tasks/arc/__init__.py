"""ARC-AGI: grid puzzles whose rule is shown by a few demonstrations."""
