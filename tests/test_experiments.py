"""Every variant of every config is a valid experiment, with the published values if it says so."""

import pytest

from tests import runs
from trm_jax.config import from_dict

VARIANTS = {
    "sudoku": ["demo", "quick", "six", "extreme", "extreme_attention", "hard"],
    "maze": ["small", "hard", "hard_n6"],
    "arc": ["debug", "arc1", "arc2"],
}


def experiment(file, variant):
    return from_dict(runs.config_file(file).get_config(variant).to_dict())


@pytest.mark.parametrize(("file", "variant"), [(f, v) for f, vs in VARIANTS.items() for v in vs])
def test_every_variant_is_an_experiment(file, variant):
    found = experiment(file, variant)
    assert found.name == f"{file}_{variant}" and found.data.task == file


@pytest.mark.parametrize("file", VARIANTS)
def test_an_unknown_variant_names_the_known_ones(file):
    with pytest.raises(ValueError, match="unknown variant 'x'") as error:
        runs.config_file(file).get_config("x")
    assert all(variant in str(error.value) for variant in VARIANTS[file])


@pytest.mark.parametrize(
    ("file", "variant", "n", "weight_decay", "table_lr", "copies"),
    [
        ("sudoku", "extreme", 6, 1.0, 1e-4, 1000),
        ("maze", "hard", 4, 1.0, 1e-4, 0),
        ("maze", "hard_n6", 6, 1.0, 1e-4, 0),
        ("arc", "arc1", 4, 0.1, 1e-2, 1000),
        ("arc", "arc2", 4, 0.1, 1e-2, 1000),
    ],
)
def test_published_values(file, variant, n, weight_decay, table_lr, copies):
    found = experiment(file, variant)
    assert (found.model["T"], found.model["n"], found.model["N"]) == (3, n, 16)
    assert (found.model["width"], found.model["layers"], found.model["heads"]) == (512, 2, 8)
    assert (found.batch_size, found.optimizer.lr, found.optimizer.ema) == (768, 1e-4, 0.999)
    assert found.optimizer.weight_decay == found.table.weight_decay == weight_decay
    assert (found.table.lr, found.data.copies) == (table_lr, copies)
    if file != "sudoku":
        assert (found.model["mixer"], found.model["positions"]) == ("attention", "rotary")
