#!/bin/bash
# What `submit` starts; it also watches, stops and restarts them.

# two-processes: 2 process(es), logs in runs/launch
env \
    JAX_PLATFORMS=cpu \
    TRM_COMMIT=0123456789abcdef0123456789abcdef01234567 \
    TRM_DIRTY=0 \
    TRM_COORDINATOR=127.0.0.1:PORT \
    TRM_NUM_PROCESSES=2 \
    TRM_PROCESS_ID=0 \
    trm train --config experiments/sudoku.py:demo --workdir=runs/two-processes &
env \
    JAX_PLATFORMS=cpu \
    TRM_COMMIT=0123456789abcdef0123456789abcdef01234567 \
    TRM_DIRTY=0 \
    TRM_COORDINATOR=127.0.0.1:PORT \
    TRM_NUM_PROCESSES=2 \
    TRM_PROCESS_ID=1 \
    trm train --config experiments/sudoku.py:demo --workdir=runs/two-processes &
wait
