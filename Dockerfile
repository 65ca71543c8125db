# trm_jax in a container, for `launch` on Kubernetes. One argument says for which hardware:
#   docker build --build-arg EXTRA=tpu  -t REGISTRY/trm_jax:tpu-1 .
#   docker build --build-arg EXTRA=cuda -t REGISTRY/trm_jax:cuda-1 .
# Nothing secret belongs in here: values come from a Kubernetes Secret when the pod starts.
FROM python:3.12-slim

ARG EXTRA=tpu
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /app
COPY pyproject.toml setup.cfg README.md LICENSE ./
# The experiments and the launcher are parts of the package; see package_dir in setup.cfg. The
# experiments stay here for commands that name them by their path in a clone.
COPY trm_jax ./trm_jax
COPY experiments ./experiments
COPY launch ./launch
# The versions are the lower bounds of setup.cfg; gcsfs reads and writes gs:// paths.
# hadolint ignore=DL3013
RUN test "$EXTRA" = tpu || test "$EXTRA" = cuda || { echo "EXTRA must be tpu or cuda" >&2; exit 2; }; \
    pip install ".[$EXTRA]" gcsfs

# The experiments' paths are relative, and runs write to a bucket or a mounted disk.
RUN useradd --create-home --uid 1000 trm && chown trm:trm /app
USER 1000

# `trm` is process 1 and so hears the SIGTERM that asks it to checkpoint.
ENTRYPOINT []
CMD ["trm", "--help"]
