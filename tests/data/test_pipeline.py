"""The training stream: a pure function of (seed, position), whoever reads it."""

import hashlib

import numpy as np
import pytest

from trm_jax.core.errors import UserError
from trm_jax.core.types import IGNORE
from trm_jax.data.format import assemble
from trm_jax.data.pipeline import BatchSource, batches, model_labels
from trm_jax.tasks.sudoku.build import build
from trm_jax.tasks.sudoku.sudoku import Sudoku
from trm_jax.tasks.sudoku.symmetry import words_needed
from trm_jax.tasks.task import task_of
from trm_jax.tasks.views import view

FOUR = Sudoku(2, 2)
DATA = build(box=(2, 2), source="generate", train=50, heldout=7, seed=0, extra_givens=6)


def stream(split="train", data=DATA, *, copies=20, seed=3, **options):
    """A source of batches whose copies go by the same seed."""
    shown = view(data, copies, seed, train=True)
    return BatchSource(data, shown, split, **{"batch_size": 12, "seed": seed, **options})


def take(steps, *, split="train", start=0, **options):
    """The first items of a stream, joined to [steps, rows, ...] arrays."""
    iterator = batches(stream(split, **options), start)
    items = [next(iterator) for _ in range(steps // options.get("per_item", 1))]
    iterator.close()
    return {key: np.concatenate([item[key] for item in items]) for key in items[0]}


def assert_equal(one, other):
    assert one.keys() == other.keys() == {"inputs", "labels", "ids"}
    for key in one:
        np.testing.assert_array_equal(one[key], other[key])


def test_shapes_and_dtypes():
    batch = take(6, per_item=3, shards=2)
    assert {key: value.shape for key, value in batch.items()} == {
        "inputs": (6, 6, 16),
        "labels": (6, 6, 16),
        "ids": (6, 6),
    }
    assert {value.dtype for value in batch.values()} == {np.dtype(np.int32)}


@pytest.mark.parametrize("shards", [1, 2, 4])
@pytest.mark.parametrize("per_item", [1, 3])
@pytest.mark.parametrize("start", [0, 1, 5])
def test_same_stream_for_every_reader(shards, per_item, start):
    parts = [
        take(6, per_item=per_item, shards=shards, shard=shard, start=start)
        for shard in range(shards)
    ]
    joined = {key: np.concatenate([part[key] for part in parts], axis=1) for key in parts[0]}
    whole = take(start * per_item + 6)
    assert_equal(joined, {key: value[start * per_item :] for key, value in whole.items()})


def test_seed_and_length_matter_only_as_they_should():
    assert_equal(take(4), take(4))
    assert (take(4, seed=4)["inputs"] != take(4)["inputs"]).any()


def test_each_epoch_visits_every_puzzle_once_in_its_own_order():
    # 25 steps of 12 rows are 6 epochs of 50 puzzles: most batches cross no epoch, some do.
    answers = take(25, copies=0)["inputs"].reshape(6, 50, 16)
    train = DATA.inputs[DATA.splits["train"]]
    for epoch in answers:
        assert sorted(row.tobytes() for row in epoch.astype(np.uint8)) == sorted(
            row.tobytes() for row in train
        )
    assert len({epoch.tobytes() for epoch in answers}) == 6


def test_a_batch_may_hold_many_epochs():
    inputs = take(1, split="heldout", batch_size=700, copies=0)["inputs"][0]
    kinds, counts = np.unique(inputs, axis=0, return_counts=True)
    assert len(kinds) == 7 and set(counts.tolist()) == {100}


def test_copies_are_drawn_evenly_and_each_is_always_the_same():
    batch = take(350, split="heldout", batch_size=40, copies=3)
    shown = np.concatenate([batch["inputs"], batch["labels"]], axis=2).reshape(14_000, 32)
    kinds, counts = np.unique(shown, axis=0, return_counts=True)
    # 7 puzzles, 4 copies; two of them may coincide where a symmetry leaves a puzzle unchanged.
    assert 26 <= len(kinds) <= 28
    assert counts.min() > 400 and np.median(counts) < 600
    originals = {row.tobytes() for row in DATA.inputs[DATA.splits["heldout"]].astype(np.int32)}
    original = np.asarray([row.tobytes() in originals for row in shown[:, :16]])
    assert 0.22 < original.mean() < 0.32


def test_a_copy_does_not_depend_on_how_many_there_are():
    few = take(100, copies=2)["inputs"].reshape(-1, 16)
    many = take(1500, copies=5)["inputs"].reshape(-1, 16)
    assert {row.tobytes() for row in few} <= {row.tobytes() for row in many}


def test_augmented_copies_are_right_puzzles():
    batch = take(60)
    inputs, labels = batch["inputs"].reshape(-1, 16), batch["labels"].reshape(-1, 16)
    assert FOUR.valid_answers(labels.astype(np.uint8)).all()
    given = inputs > 1
    np.testing.assert_array_equal(inputs[given], labels[given])
    assert not batch["ids"].any()


def test_labels_that_do_not_count_are_ignored():
    labels = DATA.labels.copy()
    labels[:, 3] = 0
    facts = {key: DATA.manifest[key] for key in ("task", "box", "vocab", "table_rows", "seed")}
    dataset = assemble(
        DATA.inputs, labels, DATA.ids, {"test": np.arange(5)}, {**facts, "source": {}}
    )
    item = stream("test", dataset, batch_size=5, seed=0, copies=0)[0]
    assert (item["labels"][0, :, 3] == IGNORE).all()
    assert (np.delete(item["labels"], 3, axis=2) > 1).all()
    assert model_labels(np.zeros(2, np.uint8)).dtype == np.int32


def test_sources_are_random_access_far_out():
    source = stream()
    far = source[10**12]
    assert_equal(far, stream()[10**12])
    assert_equal(source[4], {key: value[4:5] for key, value in take(5).items()})


@pytest.mark.parametrize(
    ("split", "options", "message"),
    [
        ("train", {"shards": 5}, "batch_size is 12"),
        ("train", {"batch_size": 0}, "batch_size is 0"),
        ("train", {"copies": -1}, "copies"),
        ("test", {}, "split 'test'; it has: train, heldout"),
    ],
)
def test_impossible_requests_are_refused(split, options, message):
    with pytest.raises(UserError, match=message):
        take(1, split=split, **options)


def test_unknown_tasks_are_refused():
    facts = {"task": "chess", "vocab": 6, "table_rows": 1, "seed": 0, "source": {}}
    dataset = assemble(DATA.inputs, DATA.labels, DATA.ids, {"train": np.arange(5)}, facts)
    with pytest.raises(UserError, match="'chess'; the known tasks are sudoku, maze, arc"):
        view(dataset, 0, 0, train=True)


def test_every_machine_sees_the_same_stream():
    batch = take(10)
    digest = hashlib.sha256(b"".join(batch[key].astype("<i4").tobytes() for key in sorted(batch)))
    assert digest.hexdigest() == "3f26708379219cfdf24854843ba3b829282a766553716329c3a31febccaad459"


def test_symmetries_are_drawn_for_each_row():
    _, words = task_of(DATA.manifest).augmentation(DATA.manifest)
    assert words == words_needed(2, 2)
    first = take(1, batch_size=600, copies=10**6)["labels"][0]
    assert len(np.unique(first, axis=0)) > 200  # of the 288 grids there are
