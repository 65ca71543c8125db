"""A peer to be timed beside us: another program that does the arithmetic of the same model."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from trm_jax.bench.processes import run_peer
from trm_jax.config.experiment import Experiment
from trm_jax.core.errors import UserError
from trm_jax.models import MIXERS


@dataclasses.dataclass(frozen=True)
class Peer:
    """How to run a peer.

    Attributes:
      script: path of a Python script with the flags that `flags` makes, which prints a JSON
        object with `seconds` in its last line.
      python: the interpreter.
      flags: passed on to the script.
      malloc: it has the settings of malloc that `trm` takes.
    """

    script: str
    python: str
    flags: tuple[str, ...] = ()
    malloc: bool = True

    def run(
        self, experiment: Experiment, ours: Mapping[str, Any], part: str, repeats: int
    ) -> dict[str, Any]:
        """Times the peer at the sizes of `experiment`; `ours` is our own report of it.

        Raises:
          UserError: it cannot be run.
        """
        if ours["devices"] > 1:
            raise UserError(
                f"--peer runs on one device and this experiment took {ours['devices']}; "
                "add --config.mesh.data=1."
            )
        sizes = flags(experiment, ours, part, repeats)
        return run_peer(self.python, self.script, [*sizes, *self.flags], self.malloc)


def check(experiment: Experiment) -> None:
    """Refuses models that the peer's flags cannot describe.

    Raises:
      UserError: the model is one.
    """
    model = experiment.model
    published = MIXERS.get(model.mixer).published
    if published is None:
        raise UserError(
            f"config.model.mixer is {model.mixer!r}, which a --peer does not have; "
            "change it, or leave --peer out."
        )
    for key, value in {"kind": "trm", "expansion": 4, "positions": published.positions}.items():
        if getattr(model, key) != value:
            raise UserError(
                f"config.model.{key} is {getattr(model, key)!r} and a --peer has {value!r}; "
                "change it, or leave --peer out."
            )
    if model.row_width not in (0, model.width) or model.dtype == "float64":
        raise UserError(
            "A --peer has rows of the model's width and is in bfloat16 or float32; set "
            "config.model.row_width and dtype so, or leave --peer out."
        )


def flags(
    experiment: Experiment, ours: Mapping[str, Any], part: str, repeats: int
) -> Sequence[str]:
    """The sizes of a model as the peer's flags."""
    model = experiment.model
    published = MIXERS.get(model.mixer).published
    assert published, "see `check`"
    sizes = {
        "batch": experiment.batch_size,
        "seq": ours["cells"],
        "vocab": ours["vocab"],
        "prefix": model.prefix_tokens,
        "mixer": published.flag,
        "steps": repeats,
        **{key: getattr(model, key) for key in ("width", "heads", "layers", "T", "n", "dtype")},
    }
    if part == "rollout":
        sizes["eval"] = model.N
    return [f"--{key}={value}" for key, value in sizes.items()]


def compared(ours: Sequence[float], reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Both sides' seconds.

    Args:
      ours: seconds of each of our turns.
      reports: of each of the peer's.

    Returns:
      `ratio` of the medians, peer/ours: above 1 we are the quicker ones; `ratios` of each round,
      which tell how far to trust it; `turns`, `peer_turns`, `peer_seconds`; and `peer_report`, the
      peer's last one, whole.
    """
    theirs = [float(report["seconds"]) for report in reports]
    seconds = statistics.median(theirs)
    return {
        "ratio": round(seconds / statistics.median(ours), 4),
        "ratios": [round(b / a, 4) for a, b in zip(ours, theirs, strict=True)],
        "turns": list(ours),
        "peer_seconds": round(seconds, 5),
        "peer_turns": theirs,
        "peer_report": dict(reports[-1]),
    }
