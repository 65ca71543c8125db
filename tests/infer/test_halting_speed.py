"""What halting is for: the seconds. Slow, because only several rounds of both tell anything."""

import functools
import statistics
import time

import jax
import numpy as np
import pytest

from tests.runs import TINY_MODEL
from trm_jax.core.mesh import make_mesh
from trm_jax.infer.halting import Entries, Halt, answer_queue
from trm_jax.infer.rollout import Rollout
from trm_jax.models import get_model
from trm_jax.models.weights import Weights

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("compiled_as_for_users")]
DEPTH, SLOTS, QUESTIONS, ROUNDS = 16, 32, 128, 5


def ratio(halt):
    """Seconds of fixed depth over seconds of halting, the median of interleaved rounds."""
    fields = {**vars(TINY_MODEL), "cells": 81, "vocab": 11, "width": 128, "heads": 4, "layers": 2}
    model = get_model(type(TINY_MODEL)(**fields))
    mesh = make_mesh(1)
    weights = Weights(
        params=model.init(jax.random.key(0)),
        table=np.zeros((1, model.config.table_width), np.float32),
        initial=model.initial_latents(jax.random.key(1)),
    )
    inputs = np.random.default_rng(0).integers(1, 11, (QUESTIONS, 81)).astype(np.int32)
    numbers = np.arange(QUESTIONS, dtype=np.int32)
    zeros = np.zeros_like(numbers)
    entries = Entries(inputs, zeros, numbers, zeros, numbers)
    queue = jax.jit(functools.partial(answer_queue, model, slots=SLOTS, halt=halt, mesh=mesh))
    fixed = Rollout(model, mesh, DEPTH, SLOTS)

    def fixed_depth():
        fixed(weights, inputs, zeros)

    def halting():
        jax.block_until_ready(queue(weights, entries, np.int32(QUESTIONS)))

    times = {fixed_depth: [], halting: []}
    for _ in range(ROUNDS + 1):
        for call, taken in times.items():
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
    pairs = zip(*(taken[1:] for taken in times.values()), strict=True)
    return statistics.median(slow / quick for slow, quick in pairs)


def test_puzzles_that_need_few_steps_take_half_the_time_or_less():
    found = ratio(Halt(DEPTH, min_steps=4, threshold=1e-6))
    print(f"fixed depth takes {found:.2f} times as long")
    assert found > 2


def test_puzzles_that_need_all_steps_take_no_longer():
    """Five per cent is the promise; a busy machine gets another ten."""
    found = ratio(Halt(DEPTH, threshold=1.0))
    print(f"fixed depth takes {found:.3f} times as long")
    assert found > 1 / 1.15
