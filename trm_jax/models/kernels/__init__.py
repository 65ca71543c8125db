"""Fused GPU kernels, equivalent to the plain layers; enabled by `config.model.kernels`."""
