"""The training stream of ARC: a task's pairs in one copy, together; a function of the position."""

import numpy as np
import pytest

from tests.arc_tasks import some_task
from trm_jax.data.pipeline import BatchSource, batches
from trm_jax.tasks.arc.build import build_tasks
from trm_jax.tasks.arc.canvas import crop, originals, sizes
from trm_jax.tasks.views import view

TASKS = [some_task(name, demonstrations=n) for name, n in (("a", 2), ("b", 5), ("c", 3), ("d", 4))]
DATA = build_tasks(TASKS, 20, 6, 0, "here")
PAIRS = 14


def stream(steps, batch_size=8, copies=6, seed=0, shard=0, shards=1, start=0):
    shown = view(DATA, copies, seed, train=True)
    source = BatchSource(
        DATA, shown, "train", batch_size=batch_size, seed=seed, shard=shard, shards=shards
    )
    iterator = batches(source, start)
    items = [next(iterator) for _ in range(steps)]
    iterator.close()
    return {key: np.concatenate([item[key][0] for item in items]) for key in items[0]}


def tasks_of(ids):
    return np.searchsorted(DATA.rows.first, ids, side="right") - 1


def restored(canvases, ids):
    """The original grids that moved copies show, as bytes; None for an empty canvas."""
    grids = []
    for canvas, row in zip(canvases, ids, strict=True):
        square = canvas.reshape(20, 20).astype(np.uint8)
        used = np.argwhere(square > 1)
        top, left = used.min(axis=0)
        corner = np.zeros_like(square)
        corner[: 20 - top, : 20 - left] = square[top:, left:]
        back, size = originals(corner.reshape(1, -1), DATA.rows.transforms[row][None])
        grids.append(crop(back[0], int(size.rows[0]), int(size.columns[0])).tobytes())
    return grids


def test_an_epoch_shows_every_pair_once_and_a_task_in_one_copy():
    shown = stream(PAIRS, batch_size=2)
    for epoch in range(2):
        ids = shown["ids"][epoch * PAIRS : (epoch + 1) * PAIRS]
        changes = np.flatnonzero(np.diff(ids)) + 1
        visits = np.split(ids, changes)
        assert sorted(tasks_of([v[0] for v in visits]).tolist()) == [0, 1, 2, 3]
        assert sorted(map(len, visits)) == [2, 3, 4, 5]
        inputs = shown["inputs"][epoch * PAIRS : (epoch + 1) * PAIRS]
        want = sorted(p.input.tobytes() for task in TASKS for p in task.demonstrations)
        assert sorted(restored(inputs, ids)) == want


def test_question_and_answer_are_moved_together():
    shown = stream(10)
    answers = np.where(shown["labels"] < 0, 0, shown["labels"])
    pairs = {p.input.tobytes(): p.output.tobytes() for task in TASKS for p in task.demonstrations}
    for question, answer in zip(
        restored(shown["inputs"], shown["ids"]), restored(answers, shown["ids"]), strict=True
    ):
        assert pairs[question] == answer


def test_in_every_visit_one_pair_stays_in_the_corner_and_others_move():
    shown = stream(PAIRS * 4, batch_size=2)
    corner = shown["inputs"][:, 0] > 1
    visits = np.split(corner, np.flatnonzero(np.diff(shown["ids"])) + 1)
    assert all(visit.any() for visit in visits)
    assert np.mean(corner) < 0.6


def test_copies_are_drawn_from_all_and_few_if_told():
    ids = stream(200)["ids"]
    assert set(ids.tolist()) == set(range(1, len(DATA.rows)))
    few = stream(200, copies=2)["ids"]
    assert set((few - DATA.rows.first[tasks_of(few)]).tolist()) == {0, 1, 2}
    none = stream(20, copies=0)["ids"]
    assert set(none.tolist()) == set(DATA.rows.first[:-1].tolist())


@pytest.mark.parametrize("shards", [2, 4])
def test_same_stream_for_every_reader(shards):
    whole = stream(6)
    parts = [stream(6, shard=shard, shards=shards) for shard in range(shards)]
    for key, array in whole.items():
        split = [part[key].reshape(6, 8 // shards, -1) for part in parts]
        joined = np.concatenate(split, axis=1)
        np.testing.assert_array_equal(joined.reshape(array.shape), array)
    later = stream(2, start=4)
    for key, array in whole.items():
        np.testing.assert_array_equal(later[key], array[-16:])


def test_seeds_matter():
    assert (stream(3)["inputs"] != stream(3, seed=1)["inputs"]).any()


def test_ids_are_rows_of_the_examples_tasks():
    assert (DATA.puzzles() == np.repeat([0, 1, 2, 3], [3, 6, 4, 5])).all()
    assert sizes(DATA.inputs).rows.min() >= 1
