"""Times a peer: another implementation of the same model, to compare with."""

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
      script: path of a Python script that takes the flags of `flags`, and prints a JSON object
        with `seconds` as its last line.
      python: Python interpreter to run it with.
      flags: additional flags for the script.
      malloc: whether it runs with the malloc settings that `trm` uses for itself.
    """

    script: str
    python: str
    flags: tuple[str, ...] = ()
    malloc: bool = True

    def run(
        self, experiment: Experiment, ours: Mapping[str, Any], part: str, repeats: int
    ) -> dict[str, Any]:
        """Times the peer.

        Args:
          experiment: experiment with the sizes.
          ours: report of this package's own timing of it.
          part: "train" or "rollout".
          repeats: number of timed calls.

        Returns:
          The peer's report.

        Raises:
          UserError: the peer cannot be run.
        """
        if ours["devices"] > 1:
            raise UserError(
                f"--peer runs on one device, but this experiment used {ours['devices']}; "
                "add --config.mesh.data=1."
            )
        sizes = flags(experiment, ours, part, repeats)
        return run_peer(self.python, self.script, [*sizes, *self.flags], self.malloc)


def check(experiment: Experiment) -> None:
    """Refuses models that the peer's flags cannot describe.

    Raises:
      UserError: the experiment has such a model.
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
                f"config.model.{key} is {getattr(model, key)!r}, but a --peer has {value!r}; "
                "change it, or leave --peer out."
            )
    if model.row_width not in (0, model.width) or model.dtype == "float64":
        raise UserError(
            "A --peer needs config.model.row_width to be 0 or config.model.width, and "
            "config.model.dtype to be bfloat16 or float32; change them, or leave --peer out."
        )


def flags(
    experiment: Experiment, ours: Mapping[str, Any], part: str, repeats: int
) -> Sequence[str]:
    """The sizes of a model as flags for a peer."""
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
    """Compares the times of this package with a peer's.

    Args:
      ours: seconds of each of this package's turns.
      reports: reports of the peer's turns.

    Returns:
      `ratio` of the medians, peer/ours (above 1: the peer is slower); `ratios` of each round, whose
      spread shows how reliable it is; `turns`, `peer_turns`, `peer_seconds`; and `peer_report`, the
      peer's last report.
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
