#!/bin/bash
# What `submit` starts; it also watches, stops and restarts them.

# sudoku-extreme: 1 process(es), logs in runs/launch
env \
    XLA_PYTHON_CLIENT_MEM_FRACTION=.9 \
    TRM_COMMIT=0123456789abcdef0123456789abcdef01234567 \
    TRM_DIRTY=0 \
    trm train --config experiments/sudoku.py:extreme --workdir=runs/sudoku-extreme
