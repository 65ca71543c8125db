"""Variants to be compared: some shapes of a model, each in several ways."""

import dataclasses
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trm_jax.core.errors import UserError

PEER, SPEED_OF = "peer", "train/speed"
"""What the peer's turns are called in a shape, and the speed of the config that is trained."""

SAME_WORK = 0.02
"""TFLOP by formula that a peer may differ by, as a share, and still do the same work."""

Table = Mapping[str, Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class Variant:
    """One program to be timed.

    Attributes:
      name: SHAPE/WAY.
      config: a config file, as `trm bench --config` takes it.
      changes: flags of `trm bench`, as "--config.batch_size=128".
      xla_flags: added to XLA_FLAGS.
      what: "train" or "rollout".
      repeats: timed calls, 0 for as many as all others.
      trace: it is traced, too.
    """

    name: str
    config: str
    changes: tuple[str, ...] = ()
    xla_flags: str = ""
    what: str = "train"
    repeats: int = 0
    trace: bool = False


@dataclasses.dataclass(frozen=True)
class PeerTurns:
    """The peer's turns at one shape.

    Attributes:
      name: SHAPE/peer.
      flags: of the peer's script, its sizes.
      repeats: timed calls, 0 for as many as all others.
    """

    name: str
    flags: str
    repeats: int = 0


def expanded(shapes: Table, ways: Table) -> list[Variant | PeerTurns]:
    """Every shape in every way, the peer's turns right behind those of its shape.

    Args:
      shapes: by name, `config` and perhaps `changes`, `what`, `repeats` and `peer`, the sizes as
        flags of a peer.
      ways: by name, perhaps `changes`, `xla_flags` and `shapes`, to which it is confined; also
        `needs_gpu`, for the caller.
    """
    found: list[Variant | PeerTurns] = []
    for name, shape in shapes.items():
        for way, asked in ways.items():
            if name in asked.get("shapes", [name]):
                changes = (*shape.get("changes", ()), *asked.get("changes", ()))
                flags, what = asked.get("xla_flags", ""), shape.get("what", "train")
                repeats = shape.get("repeats", 0)
                full = f"{name}/{way}"
                found.append(Variant(full, shape["config"], changes, flags, what, repeats))
        if shape.get("peer"):
            found.append(PeerTurns(f"{name}/{PEER}", shape["peer"], shape.get("repeats", 0)))
    return found


def traces(items: Sequence[Variant | PeerTurns], names: Sequence[str]) -> list[Variant]:
    """Some variants once more, as NAME/profile, each with a trace.

    They are apart from what is only timed, since a trace takes a second process and more time.

    Raises:
      UserError: a name is that of no variant.
    """
    known = {item.name: item for item in items if isinstance(item, Variant)}
    for name in names:
        if name not in known:
            raise UserError(f"--profile {name} is no variant; they are: {', '.join(known)}.")
    return [dataclasses.replace(known[name], name=f"{name}/profile", trace=True) for name in names]


def read(path: Path) -> tuple[Table, Table]:
    """Shapes and ways from a JSON file, `{"shapes": {...}, "ways": {...}}`.

    Raises:
      UserError: it is not there, or something else.
    """
    try:
        tables = json.loads(path.read_text())
        shapes, ways = tables["shapes"], tables["ways"]
        expanded(shapes, ways)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is no table of variants ({error!r}); it has to be of the form "
            '{"shapes": {NAME: {"config": FILE}}, "ways": {NAME: {"changes": [FLAG]}}}.'
        ) from error
    return shapes, ways


def compared(found: Mapping[str, Any], peers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A variant beside the peer's turns at its shape, so far.

    Returns:
      `ratio`, the median of the peer's seconds over ours: above 1 we are quicker; `peer_seconds`;
      and `other_work`, how much more TFLOP the peer has by formula, where the two do not do the
      same. Empty without peer.
    """
    seconds = [float(peer["seconds"]) for peer in peers if peer.get("seconds")]
    if not seconds or not found.get("seconds"):
        return {}
    middle = statistics.median(seconds)
    more = {"ratio": round(middle / found["seconds"], 4), "peer_seconds": round(middle, 5)}
    ours, theirs = found.get("tflop_per_step"), peers[0].get("tflop_per_step")
    if ours and theirs and abs(theirs / ours - 1) > SAME_WORK:
        more["other_work"] = round(theirs / ours, 3)
    return more
