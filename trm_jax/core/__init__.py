"""Shared foundations: dimension names, numerics, settings, errors, files, devices, processes."""
