"""Trained models as others use them: exported programs, a small Python API, the hub."""
