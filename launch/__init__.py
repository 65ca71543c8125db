"""Starts training jobs from a job file: on Cloud TPU, GKE, SLURM, one machine, or SkyPilot.

It needs only the standard library and PyYAML, not JAX or other modules of trm_jax, so a laptop can
launch jobs. Imports are relative because it is `launch` in a clone and `trm_jax.launch` installed.
"""
