"""What a run tells of its speed."""

from tests.train.test_pool import experiment
from trm_jax.train.reporter import Reporter


class Book:
    def __init__(self):
        self.lines = []

    def write(self, step, values):
        self.lines.append(values)


def test_no_rate_is_told_before_one_is_known(capsys):
    """The first log point may come right after the updates that were compiled."""
    book, metrics = Book(), {"loss": 1.0, "gradient_norm": 1.0}
    reporter = Reporter(
        experiment(log_every=2, steps=8), book, 0, lambda _: "fine", lambda *_, **__: None
    )
    for step in (2, 4):
        reporter.train(step, metrics)
    reporter.close()
    first, second = (line for line in capsys.readouterr().out.splitlines() if "fine" in line)
    assert first.endswith("fine") and "steps/s  ETA" in second
    assert ["train/steps_per_s" in values for values in book.lines] == [False, True]
    assert all(values["train/loss"] == 1.0 for values in book.lines)
