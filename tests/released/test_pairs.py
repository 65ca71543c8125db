"""A released model is a pair of files: complete, checked before it is read, found by its name."""

import hashlib
import json
import shutil

import jax
import ml_dtypes
import numpy as np
import pytest

from tests.released.conftest import COMMANDS, HARDWARE, released
from trm_jax.core.errors import UserError
from trm_jax.released import cards, writing
from trm_jax.released.cards import FIELDS, MEASURED, find, fitting, is_released
from trm_jax.released.cards import cards as all_cards
from trm_jax.released.stored import encode, load_released, read_arrays
from trm_jax.train.pack import named
from trm_jax.train.trained import load

PUZZLE = "1.....2..3....4."
OWN = cards.FOLDER


def change(folder, model, **changes):
    """Other words in a card."""
    path = folder / f"{model}.json"
    record = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in record.items() if value is not None}))


def refuses(words, name="sudoku-4x4-small"):
    with pytest.raises(UserError, match=words) as caught:
        load_released(name)
    assert "\n" not in str(caught.value)


def test_the_exact_one_is_the_checkpoint(folder, workdir):
    want, have = load(workdir, 8), load_released("sudoku-4x4-exact")
    jax.tree.map(np.testing.assert_array_equal, have.weights, want.weights)
    places = (jax.tree.map(lambda leaf: leaf.sharding, t.weights) for t in (want, have))
    assert next(places) == next(places)
    assert (have.step, have.model.config) == (8, want.model.config)
    assert have.experiment.to_dict() == want.experiment.to_dict()
    assert have.manifest == {k: v for k, v in want.manifest.items() if k != "sha256"}
    assert have.card["measured"] and want.card is None
    assert have.workdir.root.name == "sudoku-4x4-exact" and not have.workdir.root.exists()


def test_the_small_one_is_the_checkpoint_rounded(folder, workdir):
    want, have = named(load(workdir, 8).weights), named(load_released("sudoku-4x4-small").weights)
    assert want.keys() == have.keys()
    for name, leaf in want.items():
        rounded = np.asarray(leaf).astype(ml_dtypes.bfloat16).astype(np.float32)
        np.testing.assert_array_equal(have[name], rounded, err_msg=name)
    sizes = [(folder / f"sudoku-4x4-{name}.npz").stat().st_size for name in ("exact", "small")]
    assert sizes[1] < 0.8 * sizes[0]


def test_a_card_says_what_was_configured_and_measured(folder, workdir):
    card = find("sudoku-4x4-small")
    record = card.record
    assert record.keys() == FIELDS.keys()
    assert record["title"] == "4x4 Sudoku" and record["commands"] == list(COMMANDS)
    assert record["parameters"] == sum(
        leaf.size for leaf in jax.tree.leaves(load(workdir, 8).weights.params)
    )
    what = [(each["what"], each["split"], each["puzzles"]) for each in record["measured"]]
    assert what == [
        ("solved_with_search", "test", 90),
        ("exact_accuracy", "test", 90),
        ("exact_accuracy", "heldout", 10),
    ]
    search, alone, own = record["measured"]
    assert (alone["value"], search["value"], search["abstained"]) == (0.5, 0.9, 0.1)
    assert search["passes"] == 7.5 and search["hardware"] == HARDWARE
    options = "--workdir=tiny --checkpoint=8"
    assert alone["command"] == (
        f"trm eval {options} --data=puzzles.csv --split=test --steps=3 --nosearch"
    )
    assert search["command"].endswith("--steps=3 --passes=64 --chains=4 --rounds=8 --seed=0")
    assert own["command"] == f"trm eval {options} --split=heldout --steps=3"
    assert card.measurement("exact_accuracy") == alone and card.measurement("luck") is None
    assert str(workdir.parent) not in card.path.read_text() and "/far" not in card.path.read_text()


def test_paths_of_the_machine_stay_there(workdir, tmp_path):
    config = json.loads((workdir / "config.json").read_text())
    copy = shutil.copytree(workdir, tmp_path / "other")
    config["config"]["data"]["path"] = str(tmp_path / "train.csv.gz")
    config["data"]["source"]["path"] = str(tmp_path / "train.csv.gz")
    (copy / "config.json").write_text(json.dumps(config))
    card = writing.add(copy, released("other"), tmp_path / "models")
    assert str(tmp_path) not in card.path.read_text()
    assert card.record["config"]["data"]["path"] == "train.csv.gz"


def test_a_file_of_weights_is_the_same_each_time(workdir):
    weights = load(workdir).weights
    assert encode(weights, "bfloat16") == encode(weights, "bfloat16")


def test_one_flipped_bit_is_refused(folder):
    path = folder / "sudoku-4x4-small.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    refuses(r"small.npz is not the file of sudoku-4x4-small.json: its SHA-256 differs")


def test_truncated_missing_and_foreign_weights_are_refused(folder):
    path = folder / "sudoku-4x4-small.npz"
    path.write_bytes(path.read_bytes()[:-9])
    refuses(r"small.npz is not the file of .* bytes instead of .*\); restore it")
    path.unlink()
    refuses(r"small.npz, the weights of sudoku-4x4-small.json, cannot be read \(No such file")
    shutil.copy(folder / "sudoku-4x4-exact.npz", path)
    refuses("SHA-256 differs")


def vouch(folder, content, **changes):
    """Other weights, for which the card vouches."""
    name = "sudoku-4x4-small"
    (folder / f"{name}.npz").write_bytes(content)
    change(folder, name, sha256=hashlib.sha256(content).hexdigest(), **changes)


def test_weights_that_a_card_vouches_for_are_looked_at_too(folder, workdir):
    weights = load(workdir, 8).weights
    vouch(folder, b"no archive")
    refuses(r"small.npz is not a file of weights in bfloat16 \(")
    vouch(folder, encode(weights, "float32"))
    refuses("not a file of weights in bfloat16 .* is float32, not uint16")
    vouch(folder, encode(weights.replace(table=weights.table[:, :5]), "bfloat16"))
    refuses(r"has table of shape \(1, 5\), but the model of .*small.json has \(1, 16\)")
    vouch(folder, encode(weights.replace(table=weights.table + np.inf), "bfloat16"))
    refuses("has values in table that are not finite")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "poem"}, "is not a valid card .*'kind' is not"),
        ({"format": 2}, "has format 2, but this trm_jax reads format 1"),
        ({"name": "other"}, "is the card of the model 'other'; name the file other.json"),
        ({"sha256": None}, "it has no 'sha256' of the right type"),
        ({"rank": True}, "it has no 'rank' of the right type"),
        ({"measured": [{"what": "luck"}]}, "measurement 1 has no 'value' of the right type"),
        ({"data": {"task": "sudoku"}}, "its 'data' has no 'vocab' of the right type"),
        ({"config": {"model": {"kind": "poem"}}}, "small.json, written by .*config.model.kind"),
    ],
)
def test_damaged_and_foreign_cards_are_refused(folder, changes, words):
    change(folder, "sudoku-4x4-small", **changes)
    refuses(words)


def test_a_card_that_is_no_json_is_refused_in_lists_too(folder):
    (folder / "notes.json").write_text("not {")
    with pytest.raises(UserError, match=r"notes.json is not a valid card of a released model"):
        all_cards()


def test_an_unknown_name_is_told_what_there_is(folder):
    refuses("named 'sudoku-4x4-smal'; did you mean sudoku-4x4-small?", "sudoku-4x4-smal")
    refuses(r"named 'maze'; there are sudoku-4x4-small \(4x4 Sudoku, 16 cells\), ", "maze")
    refuses("no released model is named '../x'", "../x")
    assert is_released("sudoku-4x4-small") and not is_released("../models/sudoku-4x4-small")
    for path in folder.iterdir():
        path.unlink()
    refuses("named 'maze'; none came with this trm_jax", "maze")


def test_models_are_chosen_by_the_form_of_puzzles_and_by_rank(folder):
    assert [card.name for card in all_cards()] == ["sudoku-4x4-small", "sudoku-4x4-exact"]
    assert fitting([PUZZLE]).name == "sudoku-4x4-small"
    assert fitting(["1...\n..2.\n.3..\n..4."]).name == "sudoku-4x4-small"
    assert fitting(["9" * 16]).name == "sudoku-4x4-small"  # which then says what is wrong
    change(folder, "sudoku-4x4-exact", rank=0)
    assert fitting([PUZZLE]).name == "sudoku-4x4-exact"
    with pytest.raises(UserError, match="no released model is for a puzzle of 36 cells; there are"):
        fitting(["." * 36])
    with pytest.raises(UserError, match="There is no puzzle"):
        fitting([])


def test_adding_a_model_is_one_pair_of_files_and_nothing_else(folder, workdir):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    writing.add(workdir, released("a-third"), folder, step=4)
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert after.keys() - before.keys() == {"a-third.json", "a-third.npz"}
    assert all(after[name] == content for name, content in before.items())
    assert load_released("a-third").step == 4
    for suffix in ("json", "npz"):
        (folder / f"a-third.{suffix}").unlink()
    assert len(all_cards()) == 2


def test_a_model_is_overwritten_only_if_told_to(folder, workdir):
    with pytest.raises(UserError, match="small.json already exists; give another --name"):
        writing.add(workdir, released("sudoku-4x4-small"), folder)
    card = writing.add(workdir, released("sudoku-4x4-small"), folder, step=4, overwrite=True)
    assert card.record["step"] == load_released("sudoku-4x4-small").step == 4
    assert card.record["measured"] == []  # the other checkpoint's are not its own
    with pytest.raises(UserError, match="--name is 'A b'; use lower-case letters"):
        writing.add(workdir, released("A b"), folder)


def test_every_model_of_the_package_is_complete():
    own = all_cards(OWN)
    files = {path.name for path in OWN.iterdir()} if OWN.is_dir() else set()
    assert files == {f"{card.name}.{suffix}" for card in own for suffix in ("json", "npz")}
    for card in own:
        read_arrays(card)
        assert card.weights.stat().st_size == card.record["bytes"]
        assert card.record.keys() == FIELDS.keys()
        assert card.record["measured"] and card.record["commands"]
        assert all(
            each[key] for each in card.record["measured"] for key in MEASURED if key != "value"
        )
