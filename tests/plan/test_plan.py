"""What compiled programs send and need: the puzzle table never travels."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import runs
from trm_jax.config.experiment import from_dict
from trm_jax.core.mesh import make_mesh, over_rows, over_slots, replicated
from trm_jax.data.format import assemble
from trm_jax.models.puzzle_table import padded_rows, remap
from trm_jax.plan.compiled import (
    collectives,
    compile_evaluation,
    compile_step,
    evaluation_batch,
    evaluation_shares,
    memory,
    read_collectives,
    state_shares,
)
from trm_jax.train.run import prepare

ROWS = 876_405
"""Rows of ARC-AGI-1 with its published thousand copies of 960 tasks."""


def arc1(**changes):
    """The run of the published configuration; which puzzles it has plays no part."""
    config = runs.config_file("arc").get_config("arc1").to_dict()
    config["table"]["rows"] = ROWS
    experiment = from_dict(config | changes)
    facts = {"task": "arc", "side": 30, "vocab": 12, "seed": 0, "source": {}}
    cells = np.ones((1, 900), np.uint8)
    ids = np.zeros(1, np.int32)
    return prepare(experiment, assemble(cells, cells, ids, {"train": np.arange(1)}, facts))


@pytest.fixture(scope="module")
def step():
    """With a batch of 64, for the figures; what is sent but for it does not depend on it."""
    run = arc1(batch_size=64)
    return run, compile_step(run)


def test_the_table_of_arc1_is_split_and_never_gathered(step):
    run, compiled = step
    table = run.shapes.weights.table
    assert table.shape == (padded_rows(0, ROWS), 512) and run.mesh.size == 8
    found = collectives(compiled)
    assert {"all-reduce", "all-gather", "reduce-scatter"} <= {c.kind for c in found}
    # what concerns the table is rows of the batch; all that is larger is gradients of the network
    for exchange in found:
        if exchange.kind != "all-reduce":
            assert exchange.bytes <= 64 * 512 * 4, exchange
    (gradients,) = (c for c in found if c.kind == "all-reduce")
    parameters = sum(leaf.size for leaf in jax.tree.leaves(run.shapes.weights.params))
    # every gradient once, and the sums of the metrics
    assert 4 * parameters <= gradients.bytes <= 4 * parameters + 100
    assert sum(c.bytes for c in found) < table.size * 4 // 8


def test_memory_holds_one_share_of_the_table_and_no_copy_of_it(step):
    run, compiled = step
    share = run.shapes.weights.table.size * 4 // 8
    found = memory(compiled)
    assert share < found["state"] < share + 200e6
    assert found["peak"] == sum(size for kind, size in found.items() if kind != "peak")
    other = memory(compile_step(arc1(batch_size=64, table={"rows": 2 * ROWS})))
    assert other["state"] - found["state"] == pytest.approx(share, rel=1e-2)
    assert other["temporary"] - found["temporary"] < share / 100


@pytest.mark.slow
def test_parts_need_less_memory(step):
    run, whole = step
    halved = compile_step(prepare(dataclasses.replace(run.experiment, accumulate=4), run.dataset))
    assert memory(halved)["temporary"] < 0.5 * memory(whole)["temporary"]
    assert sorted(c.kind for c in collectives(halved)) == sorted(c.kind for c in collectives(whole))


def test_the_shares_of_the_state_add_up_to_what_the_program_keeps(step):
    run, compiled = step
    shares = state_shares(run)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(run.shapes.weights.params))
    # and the two initial vectors; two moments of each parameter and the optimizer's counters
    assert shares["parameters"] == 4 * (parameters + 2 * 512) == shares["averages"] + 4 * 2 * 512
    assert shares["optimizer moments"] == pytest.approx(8 * parameters, abs=100)
    assert shares["puzzle table"] == padded_rows(0, ROWS) * 512 * 4 // 8
    slots = 64 // 8
    latents, example = 2 * 916 * 512 * 2, 4 * (2 * 900 + 1) + 4 + 1
    assert shares["carry"] == slots * (latents + example)
    assert sum(shares.values()) == pytest.approx(memory(compiled)["state"], abs=1000)


def test_an_evaluation_reads_the_average_beside_the_rest_of_the_state():
    run = prepare(runs.experiment(eval_batch_size=9), sudoku(), make_mesh(8))
    assert evaluation_batch(run) == 16
    compiled, shares = compile_evaluation(run), evaluation_shares(run)
    assert sum(shares.values()) == sum(state_shares(run).values())
    read = shares["parameters"] + shares["puzzle table"]
    cells, slots, steps = 16, 16, 3
    batch = 4 * (cells + 1) * slots // 8  # questions and their rows; labels stay with the host
    found = memory(compiled)
    assert found["state"] == 0 and found["input"] == read + batch
    answers = steps * slots * (cells + 4)  # bytes of answers and halting logits, everywhere
    assert found["output"] == pytest.approx(answers, abs=100)


def sudoku():
    facts = {"task": "sudoku", "box": [2, 2], "vocab": 6, "seed": 0, "source": {}}
    cells = np.ones((1, 16), np.uint8)
    return assemble(cells, cells, np.zeros(1, np.int32), {"train": np.arange(1)}, facts)


@pytest.mark.parametrize(
    ("text", "kind", "size", "devices", "sent"),
    [
        (
            "bf16[8,4]{1,0:T(8,128)S(1)} all-reduce(%x), replica_groups={{0,1,2,3}}",
            "all-reduce",
            64,
            4,
            96,
        ),
        (
            "(f32[8], pred[4]) all-reduce(%x, %y), replica_groups=[2,4]<=[8]",
            "all-reduce",
            36,
            4,
            54,
        ),
        ("f32[8]{0} all-gather(%x), replica_groups=[1,8]<=[8]", "all-gather", 32, 8, 28),
        ("f32[8] reduce-scatter(%x), replica_groups={{0,1}}", "reduce-scatter", 32, 2, 32),
        (
            "(f32[4], f32[8]) all-gather-start(%x), replica_groups=[1,2]<=[2]",
            "all-gather",
            32,
            2,
            16,
        ),
        (
            "f32[8] all-reduce-start(%x), replica_groups=mesh['a'=4,'b'=2] {'a','b'}, channel_id=1",
            "all-reduce",
            32,
            8,
            56,
        ),
        (
            "f32[8] all-reduce(%x), replica_groups=mesh['a'=8,'b'=1] {'a':(2)4}",
            "all-reduce",
            32,
            4,
            48,
        ),
        (
            "s32[8] collective-permute(%x), source_target_pairs={{0,1}}",
            "collective-permute",
            32,
            0,
            32,
        ),
    ],
)
def test_an_exchange_is_read_with_its_devices(text, kind, size, devices, sent):
    (found,) = read_collectives(f"  %a.1 = {text}, channel_id=3, to_apply=%add")
    assert (found.kind, found.bytes, found.devices) == (kind, size, devices)
    assert found.sent() == sent


def test_pieces_of_one_exchange_are_one():
    line = "  %g.{} = f32[8]{{0}} all-gather(%x), channel_id=1, replica_groups=[1,8]<=[8]"
    chain = ', frontend_attributes={{chain_id="{}"}}'
    text = "\n".join((line + chain).format(piece, piece // 2) for piece in range(4))
    assert len(read_collectives(text)) == 2
    assert len(read_collectives("\n".join([line.format(0), line.format(1)]))) == 2
    assert read_collectives("  %r = f32[8] add(%all-reduce.1, %all-gather-start)") == []


def test_a_remap_never_gathers_either():
    mesh, rows = make_mesh(8), padded_rows(0, ROWS)
    table = jax.ShapeDtypeStruct((rows, 512), jnp.float32, sharding=over_rows(mesh, rows))
    index = jax.ShapeDtypeStruct((rows + 8192,), jnp.int32, sharding=over_slots(mesh))
    move = jax.jit(functools.partial(remap, mesh=mesh), out_shardings=over_rows(mesh, rows + 8192))
    compiled = move.lower(table, index).compile()
    assert collectives(compiled) and max(c.bytes for c in collectives(compiled)) < 2e6
    assert memory(compiled)["temporary"] < 50e6


def test_collectives_are_counted_in_bytes():
    mesh = make_mesh(8)

    def total(x, y):
        return jnp.sum(x, axis=0), jnp.max(y)

    args = (
        jax.ShapeDtypeStruct((16, 10), jnp.float32, sharding=over_slots(mesh)),
        jax.ShapeDtypeStruct((16,), jnp.bfloat16, sharding=over_slots(mesh)),
    )
    found = collectives(jax.jit(total, out_shardings=replicated(mesh)).lower(*args).compile())
    assert {c.kind for c in found} == {"all-reduce"}
    assert 40 in {c.bytes for c in found} or sum(c.bytes for c in found) in (42, 44)
    alone = jax.jit(lambda x: x + 1).lower(jnp.zeros(3)).compile()
    assert collectives(alone) == []
