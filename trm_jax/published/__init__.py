"""Conversion from and to the published PyTorch code: its names, its files, its algorithm."""
