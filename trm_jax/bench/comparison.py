"""Variants to compare: several shapes of a model, each run in several ways."""

import dataclasses
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trm_jax.core.errors import UserError

PEER, SPEED_OF = "peer", "train/speed"
"""Names of the peer's turns within a shape, and of the timing of the config that is trained."""

SAME_WORK = 0.02
"""Relative difference in TFLOP (by formula) up to which a peer counts as doing the same work."""

Table = Mapping[str, Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class Variant:
    """One program to time.

    Attributes:
      name: SHAPE/WAY.
      config: config file, as for `trm bench --config`.
      changes: flags of `trm bench`, for example "--config.batch_size=128".
      xla_flags: flags to add to XLA_FLAGS.
      what: "train" or "rollout".
      repeats: number of timed calls; 0 for the default.
      trace: whether to trace the program as well.
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
      flags: flags of the peer's script, for the sizes.
      repeats: number of timed calls; 0 for the default.
    """

    name: str
    flags: str
    repeats: int = 0


def expanded(shapes: Table, ways: Table) -> list[Variant | PeerTurns]:
    """All combinations of shapes and ways, with the peer's turns after those of each shape.

    Args:
      shapes: shapes by name: `config`, and optionally `changes`, `what`, `repeats` and `peer`, the
        sizes as flags of a peer.
      ways: ways by name: optionally `changes`, `xla_flags`, `shapes`, the only shapes to use it
        for, and `needs_gpu`, for the caller.
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
    """Copies of some variants, named NAME/profile, that are traced.

    They are separate from the timed ones, since a trace takes a second process and more time.

    Raises:
      UserError: there is no variant of a name.
    """
    known = {item.name: item for item in items if isinstance(item, Variant)}
    for name in names:
        if name not in known:
            raise UserError(f"--profile {name} is not a variant; use one of {', '.join(known)}.")
    return [dataclasses.replace(known[name], name=f"{name}/profile", trace=True) for name in names]


def read(path: Path) -> tuple[Table, Table]:
    """Reads shapes and ways from a JSON file, `{"shapes": {...}, "ways": {...}}`.

    Raises:
      UserError: the file cannot be read, or has another form.
    """
    try:
        tables = json.loads(path.read_text())
        shapes, ways = tables["shapes"], tables["ways"]
        expanded(shapes, ways)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is not a table of variants ({error!r}); it must have the form "
            '{"shapes": {NAME: {"config": FILE}}, "ways": {NAME: {"changes": [FLAG]}}}.'
        ) from error
    return shapes, ways


def compared(found: Mapping[str, Any], peers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Compares a variant with the peer's turns at its shape.

    Args:
      found: result of the variant.
      peers: results of the peer's turns.

    Returns:
      `ratio`, the peer's median seconds divided by the variant's (above 1: the peer is slower);
      `peer_seconds`; and `other_work`, the ratio of TFLOP by formula, if they do not do the same
      work. Empty without results of a peer.
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
