"""Puzzles never seen: rows fitted on demonstrations, trained weights under another dataset."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from tests import runs
from tests.arc_tasks import record, some_task, source, write_subset
from trm_jax.cli import main
from trm_jax.config.experiment import from_dict
from trm_jax.core.errors import UserError
from trm_jax.core.mesh import make_mesh
from trm_jax.data.pipeline import model_labels
from trm_jax.models import get_model
from trm_jax.models.act import chain_count
from trm_jax.models.losses import token_loss
from trm_jax.models.puzzle_table import lookup
from trm_jax.tasks.arc.build import build_tasks
from trm_jax.train import gradient as gradient_module
from trm_jax.train import step
from trm_jax.train.fit import fit
from trm_jax.train.loop import train
from trm_jax.train.trained import load
from trm_jax.train.transfer import rows_for

SIDE, COPIES = 5, 4


def config(files, **changes):
    data = {
        "task": "arc",
        "path": str(files),
        "base_examples": 0,
        "heldout_examples": 0,
        "copies": COPIES,
        "arc": {"side": SIDE},
    }
    settings = runs.CONFIG | {"data": data, "eval_every": 0, "mesh": {"data": 1}}
    return from_dict(settings | changes)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("fit")
    source(root, most=4)
    assert train(config(root), root / "run") == 0
    return root


@pytest.fixture(scope="module")
def trained(root):
    return load(root / "run")


def new_tasks(*names):
    return [some_task(name, most=4, seed=5) for name in names]


def dataset(trained, tasks, copies=COPIES):
    return build_tasks(tasks, SIDE, copies, trained.manifest["seed"], "here")


def table(weights):
    return np.asarray(jax.device_get(weights.table))


def test_known_rows_come_along_and_new_ones_are_zeros(trained):
    known = some_task("train2", most=4)
    data = dataset(trained, [*new_tasks("new"), known], copies=9)
    rows = table(rows_for(trained, data))
    assert rows.shape == (len(data.rows), trained.model.config.table_width)
    assert not rows[: data.rows.first[1]].any()
    mine, old = data.rows.first[1], trained.rows.first[trained.rows.names.index("train2")]
    count = COPIES + 1
    np.testing.assert_array_equal(
        rows[mine : mine + count], table(trained.weights)[old : old + count]
    )
    assert rows[mine : mine + count].any() and not rows[mine + count :].any()


def test_fitting_changes_the_rows_of_the_tasks_and_nothing_else(trained):
    data = dataset(trained, new_tasks("a", "b"))
    before = jax.device_get(trained.weights.params)
    weights = fit(trained, data, updates=8, copies=COPIES, network=False, seed=0)
    for old, new in zip(
        jax.tree.leaves(before), jax.tree.leaves(jax.device_get(weights.params)), strict=True
    ):
        np.testing.assert_array_equal(old, new)
    rows = table(weights)
    assert not rows[0].any() and (np.abs(rows[1:]).sum(axis=1) > 0).sum() >= 4
    again = fit(trained, data, updates=8, copies=COPIES, network=False, seed=0)
    np.testing.assert_array_equal(rows, table(again))


def test_the_network_is_fitted_if_asked(trained):
    data = dataset(trained, new_tasks("a"))
    weights = fit(trained, data, updates=3, copies=1, network=True, seed=0)
    moved = jax.tree.map(
        lambda a, b: float(np.abs(np.asarray(a) - np.asarray(b)).max()),
        trained.weights.params,
        weights.params,
    )
    assert min(jax.tree.leaves(moved)) > 0
    still = [np.asarray(v) for v in weights.initial]
    for a, b in zip(still, trained.weights.initial, strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_updates_fit_nothing(trained):
    data = dataset(trained, new_tasks("a"))
    assert not table(fit(trained, data, updates=0, copies=1, network=False, seed=0)).any()
    with pytest.raises(UserError, match="fit for is -1"):
        fit(trained, data, updates=-1, copies=1, network=False, seed=0)


@pytest.fixture(scope="module")
def on_one(root):
    """The same model on one device."""
    return load(root / "run", mesh=make_mesh(1))


def as_if_trained(trained, **settings):
    """The same weights, as of an experiment with other settings."""
    names = {name.replace("__", "."): value for name, value in settings.items()}
    experiment = trained.experiment.change(names)
    model = get_model(experiment.model_config(trained.manifest))
    return dataclasses.replace(trained, experiment=experiment, model=model)


@pytest.mark.slow
@pytest.mark.parametrize("network", [False, True])
def test_slots_taken_in_parts_are_fitted_as_all_at_once(on_one, network):
    """Two tasks have six demonstrations, which are two parts of three."""
    data = dataset(on_one, new_tasks("a", "b"))
    whole, parts = (
        fit(each, data, updates=3, copies=COPIES, network=network, seed=0)
        for each in (on_one, as_if_trained(on_one, accumulate=2))
    )
    start = np.abs(table(rows_for(on_one, data)) - table(whole)).max()
    np.testing.assert_allclose(table(parts), table(whole), rtol=0, atol=1e-4 * start)
    for a, b in zip(jax.tree.leaves(parts.params), jax.tree.leaves(whole.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_the_demonstrations_are_taken_in_as_many_parts_as_in_training(on_one, monkeypatch):
    """Parts that do not divide them: there are more slots then, not fewer parts."""
    seen, inner = [], step.over_devices

    def spy(model, mesh, parts, loss_config):
        gradient = inner(model, mesh, parts, loss_config)

        def counted(params, rows, carry, exploration):
            seen.append((parts, len(rows)))
            return gradient(params, rows, carry, exploration)

        return counted

    monkeypatch.setattr(step, "over_devices", spy)
    data = dataset(on_one, new_tasks("a", "b"))
    cut = as_if_trained(on_one, accumulate=4)
    fit(cut, data, updates=1, copies=COPIES, network=False, seed=0)
    assert set(seen) == {(4, 8)}


@pytest.mark.slow
def test_a_model_of_chains_is_fitted_with_its_chains(on_one, monkeypatch):
    seen, inner = [], gradient_module.compete

    def spy(params, rows, carry, *rest):
        seen.append(chain_count(carry))
        return inner(params, rows, carry, *rest)

    monkeypatch.setattr(gradient_module, "compete", spy)
    data = dataset(on_one, new_tasks("a", "b"))
    alone, three = (
        fit(
            as_if_trained(on_one, chains=chains, model__start="random"),
            data,
            updates=4,
            copies=COPIES,
            network=True,
            seed=0,
        )
        for chains in (1, 3)
    )
    assert set(seen) == {3}
    assert np.isfinite(table(three)).all() and (table(three)[1:] != 0).any()
    assert (table(alone) != table(three)).any(), "another chain won, and was learned from"


def loss_on_demonstrations(trained, data, weights):
    """Mean loss after the first step, by the model's own answers."""
    index = data.examples("train")
    ids = data.ids[index]

    @jax.jit
    def run(weights):
        rows = lookup(weights.table, ids, make_mesh(1))
        shape = (len(index), trained.model.config.tokens, trained.model.config.width)
        latents = tuple(jax.numpy.broadcast_to(v[None, None], shape) for v in weights.initial)
        inputs = data.inputs[index].astype(np.int32)
        _, out = trained.model.supervision_step(weights.params, latents, inputs, rows)
        return token_loss(out.logits, model_labels(data.labels[index])).mean()

    return float(run(jax.device_get(weights)))


@pytest.mark.slow
def test_fitted_rows_lower_the_loss_on_the_demonstrations(trained):
    data = dataset(trained, new_tasks("a", "b"), copies=0)
    losses = [
        loss_on_demonstrations(
            trained, data, fit(trained, data, updates=n, copies=0, network=network, seed=0)
        )
        for n, network in ((0, False), (60, False), (60, True))
    ]
    assert losses[0] > losses[1] > losses[2]


def test_a_run_starts_from_the_weights_of_another(root, trained, tmp_path):
    """Other tasks, other order, more copies: rows that both have are found by their names."""
    tasks = [some_task("train3", most=4), some_task("train0", most=4)]
    write_subset(tmp_path, "training", tasks)
    write_subset(tmp_path, "evaluation", new_tasks("x"))
    changed = config(
        tmp_path,
        init_from=str(root / "run"),
        steps=1,
        log_every=1,
        checkpoint_every=1,
        optimizer={"lr": 1e-9, "warmup": 0, "ema": 0.9},
        table={"lr": 0.0},
    )
    assert train(changed, tmp_path / "run") == 0
    after = load(tmp_path / "run", averaged=False)
    for name in ("train3", "train0"):
        new = after.rows.first[after.rows.names.index(name)]
        old = trained.rows.first[trained.rows.names.index(name)]
        np.testing.assert_allclose(
            table(after.weights)[new : new + COPIES + 1],
            table(trained.weights)[old : old + COPIES + 1],
            atol=1e-7,
        )
    wider = config(
        tmp_path, init_from=str(root / "run"), model=runs.CONFIG["model"] | {"width": 32}
    )
    with pytest.raises(UserError, match=r"is another model .* set config\.model and"):
        train(wider, tmp_path / "wider")


def test_solve_answers_tasks_of_a_file(root, tmp_path, capsys):
    known, new = some_task("test1", most=4, tests=2), new_tasks("new")[0]
    file = tmp_path / "tasks.json"
    file.write_text(json.dumps({"test1": record(known), "new": record(new, solved=False)}))
    out = tmp_path / "submission.json"
    command = ["solve", f"--workdir={root / 'run'}", str(file), "--fit-updates=2", f"--out={out}"]
    code = main([*command, "--max-augmentations=2", "--json"])
    text, err = capsys.readouterr()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["task"] for line in lines] == ["test1", "new"]
    assert len(lines[0]["right"]) == 2 and lines[1]["right"] == [None]
    assert code == (0 if all(lines[0]["right"]) else 1)
    assert json.loads(out.read_text()) == {line["task"]: line["attempts"] for line in lines}
    assert "3 rows were missing in the puzzle table; 2 updates" in err and "9 copies voted" in err
    main(command)
    assert "task new, test 1: the correct answer is unknown" in capsys.readouterr().out


def test_known_tasks_are_not_fitted_unless_asked(root, tmp_path, capsys):
    file = tmp_path / "test1.json"
    file.write_text(json.dumps(record(some_task("test1", most=4, tests=2))))
    main(["solve", f"--workdir={root / 'run'}", str(file)])
    assert "0 rows were missing in the puzzle table; 0 updates" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no puzzle to solve; give a JSON file"),
        (["nowhere.json"], "nowhere.json cannot be read"),
        (["{file}", "{file}"], "task test1 is given twice"),
        (["{file}", "--picture=x.png"], "--picture and --show are not for ARC"),
        (["{file}", "--voting=loud"], "loud"),
    ],
)
def test_mistakes_get_one_sentence(root, tmp_path, capsys, arguments, words):
    file = tmp_path / "test1.json"
    file.write_text(json.dumps(record(some_task("test1", most=4))))
    arguments = [a.replace("{file}", str(file)) for a in arguments]
    assert main(["solve", f"--workdir={root / 'run'}", *arguments]) == 2
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1
