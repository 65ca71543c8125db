"""Starts training jobs: one job file; Cloud TPU, GKE, SLURM, one machine, SkyPilot.

Needs the standard library and PyYAML, neither JAX nor trm_jax, so a laptop can launch.
"""
