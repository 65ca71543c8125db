"""`python -m trm_jax` is `trm`."""

import os

if __name__ == "__main__":
    try:
        from trm_jax.cli import module

        module()
    except KeyboardInterrupt:  # while the first modules are imported
        os._exit(130)
