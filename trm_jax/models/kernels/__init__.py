"""Kernels for GPUs, each beside a plain twin that computes the same; `config.model.kernels`."""
