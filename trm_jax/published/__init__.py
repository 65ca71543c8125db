"""The published PyTorch code beside ours: its names, its files, its algorithm once more."""
