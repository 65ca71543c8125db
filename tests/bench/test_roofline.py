"""`benchmarks/roofline.py`: the bounds of an update on paper, and the page that shows them."""

import dataclasses
import importlib.util

import pytest

from tests import runs
from trm_jax.models.flops import step_flops
from trm_jax.models.settings import ModelConfig
from trm_jax.plan.chips import CHIPS

SMALL = ModelConfig(vocab=6, cells=16, width=64, heads=4, layers=1, T=2, n=1, prefix_tokens=0)


@pytest.fixture(scope="module")
def roofline():
    spec = importlib.util.spec_from_file_location("roofline", runs.ROOT / "benchmarks/roofline.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_one_chip_exchanges_nothing_and_computes_everything(roofline):
    found = roofline.bound(SMALL, 1000, 8, 1, CHIPS["h100"])
    assert found.exchange == 0
    assert found.compute == pytest.approx(step_flops(SMALL, 8, True) / 989.5e12)
    assert found.state == pytest.approx(1000 * 36 / 3350e9)


def test_chips_share_slots_but_not_the_state(roofline):
    one, four = (roofline.bound(SMALL, 1000, 8, chips, CHIPS["h100"]) for chips in (1, 4))
    assert four.compute == pytest.approx(one.compute / 4)
    assert four.activations == pytest.approx(one.activations / 4)
    assert four.state == one.state
    assert four.exchange == pytest.approx(2 * 0.75 * 4000 / 450e9 + 6e-6)
    assert four.efficiency < one.efficiency < 1


def test_traffic_is_that_of_every_products_edge(roofline):
    L, D, inner = 16, 64, 256
    block = 2 * L * D + 4 * L * inner + 6 * L * D  # channels and both norms
    evaluations = (2 + 2) * (1 + 1)
    tokens = 2 * L * D + 4 * D * inner
    mlp = dataclasses.replace(SMALL, mixer="mlp", positions="none")
    assert roofline.traffic(mlp) == 2 * evaluations * (block + tokens)
    attention = 8 * L * D + 4 * 4 * L * L
    mixed = dataclasses.replace(SMALL, mixer="attention", positions="rotary")
    assert roofline.traffic(mixed) == 2 * evaluations * (block + attention)
    digits = dataclasses.replace(mlp, mixer="digits", prefix_tokens=0, vocab=6)
    # `couple`, its norm, and three fields more than one, each with an inner width of 256
    coupled = tokens + 2 * L * D + 3 * L * D + 3 * 4 * L * inner
    assert roofline.traffic(digits) == 2 * evaluations * (block + coupled)


def test_the_page_has_the_table(roofline, capsys):
    roofline.main(["--config", str(runs.ROOT / "experiments/sudoku.py:extreme")])
    page = (runs.ROOT / "experiments/performance.md").read_text()
    shown = capsys.readouterr().out
    assert shown in page
    roofline.main([])
    assert capsys.readouterr().out == shown, "it is what stands there without any flag"


def test_settings_are_overridden(roofline, capsys):
    roofline.main(["--batch=8", "--config.model.width=64"])
    small = capsys.readouterr().out
    roofline.main(["--batch=8"])
    assert len({small, capsys.readouterr().out}) == 2
