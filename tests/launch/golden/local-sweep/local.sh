#!/bin/bash
# What `submit` starts; it also watches, stops and restarts them.

# T=1/seed0: 2 process(es), logs in runs/launch
env \
    JAX_PLATFORMS=cpu \
    TRM_COMMIT=0123456789abcdef0123456789abcdef01234567 \
    TRM_DIRTY=0 \
    TRM_COORDINATOR=127.0.0.1:PORT \
    TRM_NUM_PROCESSES=2 \
    TRM_PROCESS_ID=0 \
    CUDA_VISIBLE_DEVICES=0,1,2,3 \
    trm train --config experiments/sudoku.py:demo --config.model.T=1 --config.seed=0 --workdir=runs/two-processes/T=1/seed0 &
env \
    JAX_PLATFORMS=cpu \
    TRM_COMMIT=0123456789abcdef0123456789abcdef01234567 \
    TRM_DIRTY=0 \
    TRM_COORDINATOR=127.0.0.1:PORT \
    TRM_NUM_PROCESSES=2 \
    TRM_PROCESS_ID=1 \
    CUDA_VISIBLE_DEVICES=4,5,6,7 \
    trm train --config experiments/sudoku.py:demo --config.model.T=1 --config.seed=0 --workdir=runs/two-processes/T=1/seed0 &
wait
# T=2/seed0: 2 process(es), logs in runs/launch
env \
    JAX_PLATFORMS=cpu \
    TRM_COMMIT=0123456789abcdef0123456789abcdef01234567 \
    TRM_DIRTY=0 \
    TRM_COORDINATOR=127.0.0.1:PORT \
    TRM_NUM_PROCESSES=2 \
    TRM_PROCESS_ID=0 \
    CUDA_VISIBLE_DEVICES=0,1,2,3 \
    trm train --config experiments/sudoku.py:demo --config.model.T=2 --config.seed=0 --workdir=runs/two-processes/T=2/seed0 &
env \
    JAX_PLATFORMS=cpu \
    TRM_COMMIT=0123456789abcdef0123456789abcdef01234567 \
    TRM_DIRTY=0 \
    TRM_COORDINATOR=127.0.0.1:PORT \
    TRM_NUM_PROCESSES=2 \
    TRM_PROCESS_ID=1 \
    CUDA_VISIBLE_DEVICES=4,5,6,7 \
    trm train --config experiments/sudoku.py:demo --config.model.T=2 --config.seed=0 --workdir=runs/two-processes/T=2/seed0 &
wait
