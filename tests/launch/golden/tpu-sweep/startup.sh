#!/bin/bash
# On every worker of a Cloud TPU slice, as root, at each start of the machine: installs trm_jax.
# The machines' own Python is too old for JAX, so uv brings one.
set -euo pipefail

home=/opt/trm
commit=0123456789abcdef0123456789abcdef01234567
mkdir -p "$home"
[ -e "$home/ready-$commit" ] && exit 0
rm -f "$home/failed"
trap 'touch "$home/failed"' ERR

export HOME=/root UV_PYTHON_INSTALL_DIR="$home/python" UV_CACHE_DIR="$home/cache"
rm -rf "$home/source"
git clone --quiet https://github.com/YOUR-ACCOUNT/trm_jax.git "$home/source"
git -C "$home/source" checkout --quiet "$commit"
python3 -m pip install --quiet uv
python3 -m uv venv --quiet --clear --python 3.12 "$home/venv"
python3 -m uv pip install --quiet --python "$home/venv/bin/python" -e "$home/source[tpu]" gcsfs
chmod -R a+rX "$home"
touch "$home/ready-$commit"
