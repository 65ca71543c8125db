"""The first step of a session: compiles variants and a peer in parallel, times them one by one."""

import concurrent.futures
import contextlib
import dataclasses
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from trm_jax.bench import turns
from trm_jax.bench.comparison import PeerTurns, Variant
from trm_jax.bench.session import OutOfTimeError, Session, StepError, say, with_flags
from trm_jax.core.errors import DOES_NOT_FIT

ALONGSIDE = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
"""Otherwise the first of several programs on a GPU would reserve three quarters of its memory."""


@dataclasses.dataclass(frozen=True)
class Speed:
    """Settings of the timing of variants and peers.

    Attributes:
      until: end of this step, by `time.monotonic`.
      parallel: number of processes that compile at the same time.
      repeats: number of timed calls.
      compile_limit: seconds that compiling one program may take.
      traces: folder of the traces.
      peer: command of the peer's script, without sizes; None for no peer.
      peer_turns: number of turns of the peer at each shape.
      small: additional flags for all variants, and for the peer.
    """

    until: float
    parallel: int
    repeats: int
    compile_limit: float
    traces: Path
    peer: tuple[str, ...] | None
    peer_turns: int
    small: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())


class CrowdedError(Exception):
    """A program did not fit into the memory that other processes left."""


def run(
    session: Session,
    speed: Speed,
    wanted: Sequence[Variant | PeerTurns],
    written: Callable[[], None],
) -> None:
    """Times all that has no result yet.

    Programs that do not fit into memory beside others are run again at the end, alone.

    Args:
      session: the session.
      speed: settings of the timing.
      wanted: variants, and turns of the peer.
      written: called after each result.
    """
    open_ones = [item for item in wanted if not _done(session, speed, item)]
    crowded = _waves(session, speed, open_ones, written, speed.parallel)
    _waves(session, speed, crowded, written, 1)


def _waves(
    session: Session,
    speed: Speed,
    items: Sequence[Variant | PeerTurns],
    written: Callable[[], None],
    size: int,
) -> list[Variant | PeerTurns]:
    """Times items in waves of `size`; returns those that did not fit into memory beside others.

    A wave ends before the next begins, because programs that are ready to be timed wait while any
    other program compiles.
    """
    crowded: list[Variant | PeerTurns] = []
    with concurrent.futures.ThreadPoolExecutor(size) as pool:
        for start in range(0, len(items), size):
            if session.left(speed.until) <= 0:
                say(f"out of time for {', '.join(each.name for each in items[start:])}")
                break
            wave = items[start : start + size]
            say(f"in parallel: {', '.join(each.name for each in wave)}")
            waiting = {
                pool.submit(_item, session, speed, item, written, len(wave) > 1): item
                for item in wave
            }
            try:
                for each in concurrent.futures.as_completed(waiting):
                    crowded += [] if each.result() else [waiting[each]]
            except BaseException:
                session.children.end()  # otherwise the pool would wait for them
                raise
    return crowded


def _done(session: Session, speed: Speed, item: Variant | PeerTurns) -> bool:
    if isinstance(item, Variant):
        return session.ledger.get(item.name) is not None
    names = [f"{item.name}/{turn}" for turn in range(1, speed.peer_turns + 1)]
    return speed.peer is None or all(session.ledger.get(name) for name in names)


def _item(
    session: Session,
    speed: Speed,
    item: Variant | PeerTurns,
    written: Callable[[], None],
    crowd: bool,
) -> bool:
    """Times an item; False if it did not fit into memory beside others."""
    if isinstance(item, PeerTurns):
        _peer(session, speed, item, written)
        return True
    try:
        with _recorded(session, item.name, written) as found:
            found |= _variant(session, speed, item, crowd)
    except CrowdedError as error:
        say(f"{item.name}: will be run again alone: {error}")
        return False
    return True


@contextlib.contextmanager
def _recorded(session: Session, name: str, written: Callable[[], None]) -> Iterator[dict[str, Any]]:
    """Records what the block puts into the dictionary, or the reason why it failed."""
    found: dict[str, Any] = {}
    try:
        yield found
    except (OutOfTimeError, InterruptedError):
        say(f"{name}: out of time")
        return
    except StepError as error:
        found = {"failed": str(error)}
    session.ledger.add(name, found)
    say(f"{name}: {found.get('failed') or format(found['seconds'], '.4g') + ' s'}")
    written()


def _variant(session: Session, speed: Speed, variant: Variant, crowd: bool) -> dict[str, Any]:
    command = ["bench", f"--config={variant.config}", "--config.mesh.data=1", *variant.changes]
    command += [*speed.small[0], f"--what={variant.what}", "--json", f"--lock={session.turns}"]
    command += [f"--repeats={variant.repeats or speed.repeats}"]
    command += [f"--compile_limit={speed.compile_limit:g}"]
    if variant.trace:
        command += [f"--profile={speed.traces / variant.name.replace('/', '.')}"]
    environment = with_flags(variant.xla_flags, **ALONGSIDE)
    try:
        return session.trm(variant.name, command, speed.until, environment=environment)
    except StepError as error:
        if crowd and DOES_NOT_FIT in str(error):
            raise CrowdedError(str(error)) from error
        raise


def _peer(session: Session, speed: Speed, peer: PeerTurns, written: Callable[[], None]) -> None:
    """Compiles the peer in parallel with others, into a cache, and then runs its turns."""
    assert speed.peer
    repeats = peer.repeats or speed.repeats
    sizes = [*shlex.split(peer.flags), *speed.small[1]]
    environment = {"TORCHINDUCTOR_CACHE_DIR": str(session.work / "inductor")}
    limit = min(speed.until, time.monotonic() + speed.compile_limit)
    names = [f"{peer.name}/{turn}" for turn in range(1, speed.peer_turns + 1)]
    names = [name for name in names if not session.ledger.get(name)]

    def timed(name: str, steps: int, until: float) -> dict[str, Any]:
        assert speed.peer
        command = [*speed.peer, *sizes, f"--steps={steps}"]
        return session.command(name, command, until, environment=environment)

    def given_up() -> bool:
        return session.children.ending or session.left(speed.until) <= 0

    # if this fails, the first turn reports the error
    with (
        contextlib.suppress(StepError, InterruptedError),
        turns.compiling(session.turns, given_up=given_up),
    ):
        timed(f"{peer.name}/compile", 1, limit)
    for name in names:
        with _recorded(session, name, written) as found, turns.alone(session.turns, given_up):
            found |= timed(name, repeats, speed.until)
