"""`trm solve` with a lattice model: an answer that satisfies the rules, or none."""

import json
import sys
from typing import Any

from absl import flags

from trm_jax.commands import traces
from trm_jax.core.errors import EXIT_DONE
from trm_jax.core.wording import counted
from trm_jax.infer.chain_search import ChainSearch, Found
from trm_jax.infer.watch import SOLVED, Watched, watch
from trm_jax.show import figures, pictures
from trm_jax.show.panels import Panel
from trm_jax.show.terminal import render
from trm_jax.show.trace_record import trace_chains
from trm_jax.show.trace_text import story
from trm_jax.tasks.task import Shape, Tokens, task_of
from trm_jax.train.trained import Trained

EXIT_UNSOLVED = 1
SLOTS = 256
"""Maximum number of chains that run at the same time, of all puzzles together."""


def run(values: flags.FlagValues, trained: Trained, search: ChainSearch, questions: Tokens) -> int:
    """Solves puzzles with a search, and prints the answers; see `trm_jax.commands.solve`.

    Args:
      values: parsed flags.
      trained: the lattice model.
      search: the search to run.
      questions: uint8 [M, S], token ids.

    Returns:
      The exit code.
    """
    shape, params = trained.manifest, trained.weights.params
    found = search(params, questions)
    for number, question in enumerate(questions, start=1):
        if values.json:
            print(json.dumps(_record(shape, question, found, number - 1)))
        else:
            print(_describe(shape, question, found, number))
    _watch(values, trained, search, questions, found)
    return EXIT_DONE if found.solved.all() else EXIT_UNSOLVED


def _record(shape: Shape, question: Tokens, found: Found, place: int) -> dict[str, Any]:
    task, solved = task_of(shape), bool(found.solved[place])
    return {
        "question": task.write(shape, question),
        "answer": task.write(shape, found.answers[place]) if solved else None,
        "solved": solved,
        "passes": int(found.passes[place]),
        "rounds": int(found.rounds[place]),
        "chains": int(found.chains[place]),
    }


def _describe(shape: Shape, question: Tokens, found: Found, number: int) -> str:
    place, task = number - 1, task_of(shape)
    cost = ", ".join(
        counted(int(number), name)
        for number, name in (
            (found.passes[place], "network pass"),
            (found.rounds[place], "round"),
            (found.chains[place], "chain"),
        )
    )
    if not found.solved[place]:
        return (
            f"puzzle {number}: UNSOLVED after {cost}; --passes or --seconds allow a longer search"
        )
    asked, answer = task.grid(shape, question), task.grid(shape, found.answers[place])
    drawn = render(task.board(shape), Panel("", answer, asked), sys.stdout.isatty())
    return f"{drawn}\npuzzle {number}: solved, by the rules and the givens; {cost}"


def _watch(
    values: flags.FlagValues,
    trained: Trained,
    search: ChainSearch,
    questions: Tokens,
    found: Found,
) -> None:
    """Shows the chains one after the other: --show, --picture, --trace and --gif."""
    shown = max(traces.wanted(values, len(questions)), bool(values.picture))
    if values.show:
        shown = len(questions)
    if not shown:
        return
    shape = trained.manifest
    watched = watch(search, trained.weights.params, questions[:shown])
    shown_chains = trace_chains(shape, questions[:shown], watched)
    note = _differences(watched, found, search.limits.chains)
    if note:
        print(note, file=sys.stderr)
    for trace in shown_chains if values.show else ():
        print(story(trace, sys.stdout.isatty()))
    if values.picture:
        figures.save(pictures.eliminating(shown_chains[0]), values.picture)
        print(f"wrote {values.picture}", file=sys.stderr)
    if traces.wanted(values, len(questions)):
        traces.write(values, trained.workdir.root.name, shown_chains, len(questions), note)


def _differences(watched: list[Watched], found: Found, chains: int) -> str:
    """A note that names the puzzles whose shown chains end differently from the search's."""
    others = [
        str(number)
        for number, each in enumerate(watched, start=1)
        if (each.ends[-1] == SOLVED) != found.solved[number - 1]
        or (found.solved[number - 1] and (each.path[-1] != found.answers[number - 1]).any())
    ]
    if not others:
        return ""
    return (
        f"The search ran up to {chains} chains at once; shown here is one chain after the other, "
        f"which ends differently for {'puzzles' if len(others) > 1 else 'puzzle'} "
        f"{', '.join(others)}; with --chains 1 both are the same."
    )
