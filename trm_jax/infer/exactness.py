"""Exact and cell accuracy of answers."""

import numpy as np
from numpy.typing import NDArray

from trm_jax.data.views import Grids


def compare(answers: Grids, labels: Grids) -> tuple[NDArray[np.bool_], NDArray[np.floating]]:
    """Compares answers with labels.

    Args:
      answers: uint8 [..., q, S].
      labels: uint8 [q, S]; cells with label 0 are not counted.

    Returns:
      Whether all counted cells are correct, bool [..., q], and the share of them that are, float
      [..., q]. Without counted cells an answer is exact, with a share of 0.
    """
    counted = labels > 0
    right = np.sum(counted & (answers == labels), axis=-1)
    total = np.sum(counted, axis=-1)
    return np.equal(right, total), right / np.maximum(total, 1)
