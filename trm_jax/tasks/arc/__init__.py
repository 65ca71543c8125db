"""ARC-AGI: grids whose rule a few demonstrations show."""
