"""`python -m trm_jax` is `trm`."""

from trm_jax.cli import module

if __name__ == "__main__":
    module()
