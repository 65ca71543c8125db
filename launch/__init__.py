"""Starts training jobs: one job file; Cloud TPU, GKE, SLURM, one machine, SkyPilot.

Needs the standard library and PyYAML, neither JAX nor another module of trm_jax, so a laptop can
launch. It is `launch` in a clone and `trm_jax.launch` where it is installed, hence its relative
imports.
"""
