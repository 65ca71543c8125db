"""One picture of a work directory: how it learned, and what each further step is worth."""

import json

from etils import epath

from trm_jax import draw, logbook
from trm_jax.errors import UserError
from trm_jax.workdir import WorkDir


def report(root: epath.PathLike, out: epath.PathLike) -> None:
    """Draws the learning curve and, of each evaluation, the accuracy by depth.

    Args:
      root: the work directory.
      out: PNG file to write.

    Raises:
      UserError: there is nothing to draw yet.
    """
    workdir = WorkDir(root)
    workdir.read()
    entries = logbook.read(workdir.metrics)
    if not entries:
        raise UserError(f"{workdir.metrics} is empty; let `trm train` reach its first log point.")
    evaluations = sorted(workdir.evaluations.glob("*.json")) if workdir.evaluations.exists() else []
    columns = 2 if evaluations else 1
    figure, axes = draw.new_figure(1, columns, (5.5 * columns, 3.8))
    draw.learning_curve(axes[0, 0], entries)
    for path in evaluations:
        draw.accuracy_by_depth(axes[0, 1], json.loads(path.read_text())["by_depth"], path.stem)
    draw.save(figure, out)
